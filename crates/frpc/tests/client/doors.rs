//! What guards a door and is not built yet stops the program before it dials.

use crate::support::{Frpc, Frps, Text};

async fn refused(text: Text) -> String {
    Frpc::start(text.setup()).end().await.unwrap_err()
}

#[tokio::test]
async fn a_virtual_network_that_is_not_built_stops_the_program() {
    let frps = Frps::start().await;
    let text = Text::with_token(&frps)
        .line("virtualNet.address = \"100.86.0.1/24\"")
        .line("featureGates = { VirtualNet = true }");
    assert_eq!(refused(text).await, "virtualNet.address is not supported yet by this version");
}

#[tokio::test]
async fn an_admin_interface_warns_and_the_program_runs() {
    let log = crate::support::Log::capture();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).line("webServer.port = 7400").start();
    frps.accept("0123456789abcdef").await;
    assert!(log.has("WARN webServer is not supported yet by this version"));
    frpc.stop().await;
}
