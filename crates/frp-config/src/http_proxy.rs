//! The proxy that the environment names for requests of our own over HTTP: the rules that Go's clients follow
//! (golang.org/x/net/http/httpproxy). Not for the way to the server, which has rules of its own.

use std::net::IpAddr;

use crate::load::Environment;
use crate::no_proxy;
use crate::value::Secret;

/// For the environment of this process, as it is now.
#[must_use]
pub fn of_process(scheme: &str, host: &str, port: u16) -> Option<Secret> {
    of(&Environment::from_process(), scheme, host, port)
}

/// The URL of the proxy for `scheme://host:port`; none for a direct connection. This host is always reached directly.
#[must_use]
pub fn of(environment: &Environment, scheme: &str, host: &str, port: u16) -> Option<Secret> {
    let either = |upper: &str, lower: &str| {
        let value = environment.get(upper);
        if value.is_empty() { environment.get(lower).to_owned() } else { value.to_owned() }
    };
    let proxy = match scheme {
        "https" => either("HTTPS_PROXY", "https_proxy"),
        // A gateway's request header `Proxy` would look like the variable.
        "http" if environment.get("REQUEST_METHOD").is_empty() => either("HTTP_PROXY", "http_proxy"),
        "http" => environment.get("http_proxy").to_owned(),
        _ => String::new(),
    };
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if proxy.is_empty() || is_here || no_proxy::covers(&either("NO_PROXY", "no_proxy"), host, port.into()) {
        return None;
    }
    // As Go has it: what has no scheme is a host.
    Some(if proxy.contains("://") { proxy.into() } else { format!("http://{proxy}").into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(variables: &[(&str, &str)], scheme: &str, host: &str) -> String {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        of(&variables.collect(), scheme, host, 443).unwrap_or_default().expose().to_owned()
    }

    #[test]
    fn gos_rules() {
        let all = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "p:2"), ("no_proxy", "b.test,c.test:443")];
        for (scheme, host, expected) in [
            ("https", "a.test", "http://s:1"),
            ("http", "a.test", "http://p:2"),
            ("ftp", "a.test", ""),
            ("https", "x.b.test", ""),
            ("https", "c.test", ""),
            ("https", "localhost", ""),
            ("http", "127.0.0.2", ""),
            ("http", "::1", ""),
        ] {
            assert_eq!(proxy(&all, scheme, host), expected, "{scheme} {host}");
        }
        assert_eq!(proxy(&[("HTTP_PROXY", "u"), ("http_proxy", "l")], "http", "a.test"), "http://u");
        assert_eq!(proxy(&[("HTTP_PROXY", "u"), ("REQUEST_METHOD", "GET")], "http", "a.test"), "");
        assert_eq!(proxy(&[], "https", "a.test"), "");
    }
}
