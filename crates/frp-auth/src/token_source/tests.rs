use tokio::task::JoinSet;

use super::*;

fn file(path: &Path) -> TokenSource {
    TokenSource::File { path: path.to_owned() }
}

async fn value(source: &TokenSource) -> Vec<u8> {
    resolve(source, |_| {}).await.unwrap().as_bytes().to_vec()
}

async fn refusal(source: &TokenSource) -> String {
    resolve(source, |_| {}).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_file_is_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    for (content, expected) in [
        ("secret\n", "secret"),
        ("\u{a0} \tse cret\r\n\n", "se cret"),
        ("", ""),
        (" \n ", ""),
        ("Schlüssel", "Schlüssel"),
    ] {
        std::fs::write(&path, content).unwrap();
        assert_eq!(value(&file(&path)).await, expected.as_bytes());
    }
    std::fs::write(&path, b" \xff\xfe \n").unwrap();
    assert_eq!(value(&file(&path)).await, b"\xff\xfe");
}

#[cfg(unix)]
#[tokio::test]
async fn an_unreadable_file_reads_like_go() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let text = missing.display();
    assert_eq!(
        refusal(&file(&missing)).await,
        format!("failed to read file {text}: open {text}: no such file or directory")
    );
    let text = folder.path().display();
    assert_eq!(
        refusal(&file(folder.path())).await,
        format!("failed to read file {text}: read {text}: is a directory")
    );
}

#[tokio::test]
async fn an_endless_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let length = usize::try_from(MAX_VALUE).unwrap();
    std::fs::write(&path, vec![b'x'; length]).unwrap();
    assert_eq!(value(&file(&path)).await.len(), length);
    std::fs::write(&path, vec![b'x'; length + 1]).unwrap();
    assert!(refusal(&file(&path)).await.ends_with("more than 1048576 bytes"));
}

/// Pipes that nobody writes to leave threads to others, and each is read when it is its turn.
#[cfg(unix)]
#[test]
fn files_that_do_not_come_to_an_end_hold_few_threads() {
    let folder = tempfile::tempdir().unwrap();
    let pipes: Vec<_> = (0..3 * READERS).map(|number| folder.path().join(number.to_string())).collect();
    assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(READERS + 1).build();
    runtime.unwrap().block_on(async {
        let mut reading = JoinSet::new();
        for pipe in &pipes {
            let source = file(pipe);
            reading.spawn(async move { value(&source).await });
        }
        // All of them have begun, and one more thread is to be had.
        tokio::task::yield_now().await;
        let other = timeout(Duration::from_secs(10), spawn_blocking(|| "done")).await;
        let writers: Vec<_> = pipes
            .iter()
            .map(|pipe| {
                let pipe = pipe.clone();
                std::thread::spawn(move || std::fs::write(pipe, " value\n").unwrap())
            })
            .collect();
        assert!(reading.join_all().await.iter().all(|value| value == b"value"));
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(other.expect("no thread is left").unwrap(), "done");
    });
}

#[test]
fn debug_output_hides_arguments_and_environment() {
    let source = TokenSource::Exec {
        command: "vault".to_owned(),
        args: vec!["hunter2".to_owned()],
        env: vec![("KEY".to_owned(), "hunter3".to_owned())],
    };
    assert_eq!(format!("{source:?}"), r#"Exec { command: "vault", args: 1, env: 1 }"#);
}

#[cfg(unix)]
mod exec {
    use super::*;

    fn sh(script: &str) -> TokenSource {
        exec("sh", &["-c", script], &[])
    }

    fn exec(command: &str, args: &[&str], env: &[(&str, &str)]) -> TokenSource {
        TokenSource::Exec {
            command: command.to_owned(),
            args: args.iter().map(|&a| a.to_owned()).collect(),
            env: env.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect(),
        }
    }

    #[tokio::test]
    async fn standard_output_alone_is_the_value() {
        assert_eq!(value(&sh("echo noise >&2; printf ' secret \\n'")).await, b"secret");
    }

    #[tokio::test]
    async fn arguments_see_no_shell() {
        assert_eq!(value(&exec("echo", &["$HOME;", "*", "a  b"], &[])).await, b"$HOME; * a  b");
    }

    #[tokio::test]
    async fn the_environment_is_ours_and_more() {
        let script = "test -n \"$PATH\" && printf %s \"$FRP_TEST\"";
        let source = exec("sh", &["-c", script], &[("FRP_TEST", "one"), ("FRP_TEST", "two")]);
        assert_eq!(value(&source).await, b"two");
    }

    #[tokio::test]
    async fn the_program_is_found_in_our_path() {
        let source = exec("sh", &["-c", "printf %s \"$PATH\""], &[("PATH", "/nowhere")]);
        assert_eq!(value(&source).await, b"/nowhere");
    }

    #[tokio::test]
    async fn there_is_no_input() {
        assert_eq!(value(&sh("cat; echo end")).await, b"end");
    }

    #[tokio::test]
    async fn failures_read_like_go() {
        assert_eq!(refusal(&sh("echo secret; exit 3")).await, "failed to execute command sh: exit status 3");
        assert_eq!(refusal(&sh("kill -9 $$")).await, "failed to execute command sh: signal: killed");
        assert_eq!(
            refusal(&exec("frp-no-such-program", &[], &[])).await,
            "failed to execute command frp-no-such-program: \
             exec: \"frp-no-such-program\": executable file not found in $PATH"
        );
        assert_eq!(
            refusal(&exec("/nowhere/program", &[], &[])).await,
            "failed to execute command /nowhere/program: fork/exec /nowhere/program: no such file or directory"
        );
    }

    #[tokio::test]
    async fn endless_output_is_refused() {
        assert!(refusal(&exec("yes", &[], &[])).await.ends_with("more than 1048576 bytes"));
    }

    #[tokio::test]
    async fn the_caller_can_prepare_the_command() {
        let source = sh("printf %s \"$FRP_PREPARED\"");
        let token = resolve(&source, |command| {
            command.env("FRP_PREPARED", "yes");
        });
        assert_eq!(token.await.unwrap().as_bytes(), b"yes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_hangs_is_ended() {
        assert_eq!(
            refusal(&exec("sleep", &["1000"], &[])).await,
            "failed to execute command sleep: no end after 60 seconds"
        );
    }
}
