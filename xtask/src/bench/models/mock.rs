//! A model server that answers every chat completion with the same bytes, in a separate process.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::{first_line, resident_mb};
use crate::report;

/// Maximum size of a request, in bytes.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// Answer every chat completion with the same bytes; prints its port.
#[derive(Args)]
pub struct MockModelOptions {
    /// How long each answer takes.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
}

pub fn serve(options: &MockModelOptions) -> anyhow::Result<std::process::ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let delay = Duration::from_millis(options.delay_ms);
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        report::line(listener.local_addr()?.port());
        let answer = answer();
        loop {
            let (connection, _) = listener.accept().await?;
            connection.set_nodelay(true)?;
            let answer = answer.clone();
            // A client that disconnects ends only its own connection.
            tokio::spawn(async move { serve_one(connection, &answer, delay).await });
        }
    })
}

async fn serve_one(mut connection: TcpStream, answer: &[u8], delay: Duration) -> std::io::Result<()> {
    let mut buffer = vec![0; REQUEST_BYTES_MAX];
    let mut filled = 0;
    loop {
        let read = connection.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        while let Some(length) = super::load::message_length(&buffer[..filled]) {
            buffer.copy_within(length..filled, 0);
            filled -= length;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            connection.write_all(answer).await?;
        }
    }
}

fn answer() -> Vec<u8> {
    let body = concat!(
        r#"{"id":"chatcmpl-mock","object":"chat.completion","created":1,"model":"gpt-4-turbo","choices":[{"index":0,"#,
        r#""message":{"role":"assistant","content":"Your appointment is booked for tomorrow at ten."},"#,
        r#""finish_reason":"stop"}],"usage":{"prompt_tokens":24,"completion_tokens":10,"total_tokens":34}}"#
    );
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into()
}

/// The running mock.
pub struct MockModel {
    process: Child,
    port: u16,
}

impl MockModel {
    /// Starts a mock with this response time.
    pub fn start(delay: Duration) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("this program's own path cannot be read")?;
        let mut command = Command::new(own);
        command.args(["mock-model", "--delay-ms", &delay.as_millis().to_string()]);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let line = first_line(&mut process)?;
        let port = line.trim().parse().with_context(|| format!("the mock said `{line}` and no port"))?;
        Ok(Self { process, port })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn resident_mb(&self) -> Option<f64> {
        resident_mb(self.process.id())
    }
}

impl Drop for MockModel {
    fn drop(&mut self) {
        // The process may already have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
