//! frp's configuration: files in INI, TOML, YAML and JSON to one checked model.
//!
//! It reads files and the environment it is given, and decides nothing else: it opens no socket, runs no program,
//! prints nothing and reads no clock. What a user gets to read (errors, warnings) equals upstream's text wherever the
//! text is upstream's own.
//!
//! The way of a file, and the modules it passes:
//!
//! 1. [`load`]: find the format, render the template, follow includes.
//! 2. `raw`: TOML, YAML, JSON and INI to an ordered tree of values that knows no keys; `legacy` turns what INI says
//!    into the current model.
//! 3. `table` and `decode`: the tree is walked against the key tables, which stand beside the structs they fill.
//! 4. The model: [`server`], [`client`], [`common`], [`proxy`], [`visitor`], [`plugin`], with the grammars of
//!    [`value`]s. Defaults are filled in by the `complete` functions.
//! 5. [`check`] refuses what cannot work; [`feature`] knows the features in the making; [`verify()`] and
//!    [`run`] put it all together in the order of upstream's programs.
//! 6. [`store`] is frpc's second source of proxies and visitors; [`unbuilt`] names what is configured and not built.

#![forbid(unsafe_code)]

pub mod check;
pub mod client;
pub mod common;
mod decode;
pub mod feature;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod http_proxy;
mod legacy;
pub mod load;
mod no_proxy;
pub mod plugin;
pub mod proxy;
mod raw;
pub mod run;
pub mod server;
pub mod store;
mod table;
pub mod unbuilt;
pub mod value;
mod verify;
pub mod visitor;

pub use check::{CheckError, UnsafeFeatures};
pub use client::ClientConfig;
pub use load::{Environment, LoadError, LoadOptions, LoadedClient, LoadedServer, load_client, load_server};
pub use plugin::ClientPlugin;
pub use proxy::{ProxyBase, ProxyConfig, ProxyType};
pub use raw::Value;
pub use server::ServerConfig;
pub use value::Secret;
pub use verify::{Program, Verdict, verify};
pub use visitor::{VisitorBase, VisitorConfig, VisitorType};
