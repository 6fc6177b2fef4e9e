// SPDX-License-Identifier: Apache-2.0
// AWS SDK for Rust (rustls): GetCallerIdentity.
#[tokio::main]
async fn main() {
    let config = aws_config::load_from_env().await;
    let me = aws_sdk_sts::Client::new(&config)
        .get_caller_identity()
        .send()
        .await
        .expect("GetCallerIdentity");
    println!("account {}", me.account().unwrap_or("?"));
}
