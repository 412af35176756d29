//! Names of fields that matter to a proxy.

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// A field that matters to a proxy, or any other.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Name {
            $($(#[$doc])* $variant,)+
            /// All others.
            Other,
        }

        impl Name {
            /// Which field this name names, in any case.
            #[must_use]
            pub fn of(name: &[u8]) -> Self {
                $(if name.len() == $name.len() && name.eq_ignore_ascii_case($name.as_bytes()) {
                    return Self::$variant;
                })+
                Self::Other
            }
        }
    };
}

names! {
    /// `Host`
    Host = "Host",
    /// `Connection`
    Connection = "Connection",
    /// `Content-Length`
    ContentLength = "Content-Length",
    /// `Transfer-Encoding`
    TransferEncoding = "Transfer-Encoding",
    /// `Content-Type`
    ContentType = "Content-Type",
    /// `Content-Encoding`
    ContentEncoding = "Content-Encoding",
    /// `Content-Range`
    ContentRange = "Content-Range",
    /// `Date`
    Date = "Date",
    /// `User-Agent`
    UserAgent = "User-Agent",
    /// `Accept-Encoding`
    AcceptEncoding = "Accept-Encoding",
    /// `Range`
    Range = "Range",
    /// `Authorization`
    Authorization = "Authorization",
    /// `Proxy-Authorization`
    ProxyAuthorization = "Proxy-Authorization",
    /// `Proxy-Authenticate`
    ProxyAuthenticate = "Proxy-Authenticate",
    /// `Proxy-Connection`, which no standard knows
    ProxyConnection = "Proxy-Connection",
    /// `Keep-Alive`
    KeepAlive = "Keep-Alive",
    /// `Te`
    Te = "Te",
    /// `Trailer`
    Trailer = "Trailer",
    /// `Upgrade`
    Upgrade = "Upgrade",
    /// `Expect`
    Expect = "Expect",
    /// `Cookie`
    Cookie = "Cookie",
    /// `Set-Cookie`
    SetCookie = "Set-Cookie",
    /// `WWW-Authenticate`
    WwwAuthenticate = "Www-Authenticate",
    /// `Forwarded`
    Forwarded = "Forwarded",
    /// `X-Forwarded-For`
    XForwardedFor = "X-Forwarded-For",
    /// `X-Forwarded-Host`
    XForwardedHost = "X-Forwarded-Host",
    /// `X-Forwarded-Proto`
    XForwardedProto = "X-Forwarded-Proto",
    /// `Idempotency-Key`
    IdempotencyKey = "Idempotency-Key",
    /// `X-Idempotency-Key`
    XIdempotencyKey = "X-Idempotency-Key",
}

impl Name {
    /// Whether the field says something about one connection only, so that a proxy never forwards it. Go
    /// `net/http/httputil/reverseproxy.go`, `hopHeaders`.
    #[must_use]
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::ProxyConnection
                | Self::KeepAlive
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::Te
                | Self::Trailer
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    /// Whether a trailer may have this name: nothing that frames, routes or authenticates. RFC 9110 6.5.1.
    #[must_use]
    pub fn may_trail(self) -> bool {
        matches!(self, Self::Other | Self::Date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(Name::of(b"content-LENGTH"), Name::ContentLength);
        assert_eq!(Name::of(b"Content_Length"), Name::Other);
        assert_eq!(Name::of(b""), Name::Other);
    }

    #[test]
    fn hops_and_trailers() {
        assert!(Name::Te.is_hop_by_hop() && !Name::Forwarded.is_hop_by_hop());
        assert!(Name::Other.may_trail() && !Name::Host.may_trail());
    }
}
