//! Where the token comes from.

#![cfg(unix)]

use std::fs;
use std::process::Command;

use frp_proto::digest::auth_key;
use tokio::net::unix::pipe;

use crate::support::{Frpc, Frps, Text, hear};

#[tokio::test]
async fn a_token_is_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, " from a file\n").unwrap();
    let mut frps = Frps::start().await.with_token("from a file");
    let text = Text::new(&frps)
        .line("auth.tokenSource.type = \"file\"")
        .line(&format!("auth.tokenSource.file.path = \"{}\"", path.display()))
        .tcp("web", 80, "");
    let frpc = text.start();
    let mut control = frps.accept("0123456789abcdef").await;
    assert_eq!(control.login.privilege_key, auth_key(b"from a file", control.login.timestamp));
    // The channel's key is the token's, too.
    control.start().await;
    frpc.stop().await;

    let setup = text.setup();
    drop(folder);
    let error = Frpc::start(setup).end().await.unwrap_err();
    assert_eq!(
        error,
        format!(
            "failed to resolve auth.tokenSource: failed to read file {0}: open {0}: no such file or directory",
            path.display()
        )
    );
}

fn exec(frps: &Frps, command: &str) -> Text {
    Text::new(frps)
        .line("auth.tokenSource.type = \"exec\"")
        .line("auth.tokenSource.exec.command = \"sh\"")
        .line(&format!("auth.tokenSource.exec.args = [\"-c\", \"{command}\"]"))
        .line("auth.tokenSource.exec.env = [{ name = \"PART\", value = \"cret\" }]")
}

#[tokio::test]
async fn a_token_is_what_a_program_prints() {
    let mut frps = Frps::start().await;
    let frpc = exec(&frps, "echo se$PART").tcp("web", 80, "").start();
    frps.accept("0123456789abcdef").await.start().await;
    frpc.stop().await;
    // What another type of source needs may be there, too: the type decides.
    let both = exec(&frps, "echo se$PART").line("auth.tokenSource.file.path = \"nowhere\"");
    let frpc = both.tcp("web", 80, "").start();
    frps.accept("0123456789abcdef").await.start().await;
    frpc.stop().await;
    let error = exec(&frps, "exit 3").start().end().await.unwrap_err();
    assert_eq!(error, "failed to resolve auth.tokenSource: failed to execute command sh: exit status 3");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_that_hangs_does_not_hold_the_end_up() {
    let frps = Frps::start().await;
    let folder = tempfile::tempdir().unwrap();
    let [begun, never] = ["begun", "never"].map(|name| folder.path().join(name));
    assert!(Command::new("mkfifo").args([&begun, &never]).status().unwrap().success());
    let mut beginning = pipe::OpenOptions::new().read_write(true).open_receiver(&begun).unwrap();
    let frpc =
        exec(&frps, &format!("echo begun > {}; read line < {}", begun.display(), never.display())).start();
    hear(&mut beginning, "begun").await;
    frpc.stop().await;
}
