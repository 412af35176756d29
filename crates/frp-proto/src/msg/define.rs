//! How a message's struct is declared: each field once, with its name on the wire.

use std::fmt;

/// Declares a struct with its wire form. A field may be marked `[keys]` (of a map only the keys show in
/// `Debug` output) or `[length]` (only its length shows).
macro_rules! wire_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* $field:ident : $ty:ty = $json:literal $([$mark:ident])? ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Default, PartialEq, Eq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $ty, )*
        }

        impl $crate::json::Object for $name {
            const NAMES: &'static [&'static str] = &[$($json),*];

            #[allow(unused_variables, reason = "a message may have no members")]
            fn write_members(&self, object: &mut $crate::json::ObjectWriter<'_>) {
                $(
                    if !$crate::json::Field::is_omitted(&self.$field) {
                        $crate::json::Field::write(&self.$field, object.key($json));
                    }
                )*
            }

            #[allow(unused_variables, reason = "a message may have no members")]
            fn read_member(
                &mut self,
                name: &str,
                reader: &mut $crate::json::Reader<'_>,
            ) -> Result<bool, $crate::json::JsonError> {
                match name {
                    $( $json => $crate::json::Field::read(&mut self.$field, reader).map(|()| true), )*
                    _ => Ok(false),
                }
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $( .field(stringify!($field), $crate::msg::define::shown!(self.$field $(, $mark)?)) )*
                    .finish()
            }
        }
    };
}

/// The `Debug` view of a field under its mark.
macro_rules! shown {
    ($value:expr) => {
        &$value
    };
    ($value:expr, keys) => {
        &$crate::msg::define::Keys(&$value)
    };
    ($value:expr, length) => {
        &$crate::msg::define::Length($value.len())
    };
}

pub(crate) use {shown, wire_struct};

/// Shows whether a text is set, not what it is.
struct Hidden<'a>(&'a str);

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "<redacted>" })
    }
}

/// Shows the keys of a map: values of `metas` and of headers are often tokens.
pub(crate) struct Keys<'a>(pub(crate) &'a super::StringMap);

impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(key, value)| (key, Hidden(value)))).finish()
    }
}

/// Shows how many bytes there are.
pub(crate) struct Length(pub(crate) usize);

impl fmt::Debug for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0)
    }
}
