//! Every key of every sample file, damaged one at a time: the program must refuse the file and name the key.
//! In INI, as with the original, an unknown key is ignored, and a bad number or boolean leaves the default.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use frp_test_support::programs::{Maker, Role};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf").join(name)
}

fn role(name: &str) -> Role {
    if name.starts_with("frps") { Role::Frps } else { Role::Frpc }
}

fn verify(role: Role, file: &Path) -> Result<Output> {
    let program = Maker::Ours.executable(role)?;
    let mut command = Command::new(program);
    command.args(["verify", "-c"]).arg(file).env_remove("http_proxy");
    command.output().context("run verify")
}

/// A line `key = value` that is not a comment, as the range of its key and the beginning of its value.
fn key_of(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let plain =
        !key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric() || "._".contains(letter));
    (plain && !line.trim_start().starts_with(['#', ';', '['])).then(|| (key, value.trim()))
}

/// The sample with one line replaced, in a file of the same extension.
fn with_line(lines: &[&str], number: usize, line: &str, folder: &Path, name: &str) -> Result<PathBuf> {
    let damaged: Vec<_> =
        lines.iter().enumerate().map(|(at, old)| if at == number { line } else { *old }).collect();
    let path = folder.join(name);
    fs::write(&path, damaged.join("\n"))?;
    Ok(path)
}

/// Maps whose keys are the user's own: an unknown key there is none.
const FREE_KEYS: &[&str] =
    &["metadatas", "annotations", "featureGates", ".set.", "set.", "additionalEndpointParams"];

fn damage_toml(name: &str) -> Result<()> {
    let text = fs::read_to_string(sample(name))?;
    let lines: Vec<_> = text.lines().collect();
    let folder = tempfile::tempdir()?;
    let mut table = String::new();
    let mut damaged = 0;
    for (number, line) in lines.iter().enumerate() {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']', ' ']).to_owned();
        }
        let Some((key, value)) = key_of(line) else { continue };
        let full = format!("{table}.{key}");
        if FREE_KEYS.iter().any(|free| full.contains(free)) || value.ends_with(['[', '{']) {
            continue;
        }
        // An unknown key.
        let unknown = line.replacen(key, &format!("{key}Zz"), 1);
        let path = with_line(&lines, number, &unknown, folder.path(), name)?;
        let output = verify(role(name), &path)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = key.rsplit('.').next().unwrap_or(key);
        ensure!(output.status.code() == Some(1), "{name}:{} {unknown:?} passed: {printed}", number + 1);
        // Without its type an entry is refused for that, before its keys are looked at.
        ensure!(
            printed.contains(&format!("{last}Zz")) || last == "type",
            "{name}:{} {printed:?} does not name the key",
            number + 1
        );
        // A value of another type.
        let other = if value.starts_with(['"', '\'']) { "17" } else { "\"text\"" };
        let wrong = format!("{key} = {other}");
        let path = with_line(&lines, number, &wrong, folder.path(), name)?;
        let output = verify(role(name), &path)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.code() == Some(1), "{name}:{} {wrong:?} passed: {printed}", number + 1);
        // A proxy's type is read before everything else of it, and a plugin's likewise.
        let named = printed.contains(last) || last == "type";
        ensure!(named, "{name}:{} {printed:?} does not name {last}", number + 1);
        damaged += 1;
    }
    ensure!(damaged > 50, "{name} has only {damaged} keys to damage");
    Ok(())
}

fn damage_ini(name: &str) -> Result<()> {
    let text = fs::read_to_string(sample(name))?;
    let lines: Vec<_> = text.lines().collect();
    let folder = tempfile::tempdir()?;
    for (number, line) in lines.iter().enumerate() {
        let Some((key, _)) = key_of(line) else { continue };
        let unknown = line.replacen(key, &format!("zz_{key}"), 1);
        let path = with_line(&lines, number, &unknown, folder.path(), name)?;
        let output = verify(role(name), &path)?;
        // What is left may be incomplete, a visitor without its server's name for one. It must end in order.
        let code = output.status.code();
        ensure!(matches!(code, Some(0 | 1)), "{name}:{} {unknown:?}: {code:?}", number + 1);
    }
    let path = folder.path().join(name);
    fs::write(&path, text.replacen("\n[common]\n", "\n[common\n", 1))?;
    let output = verify(role(name), &path)?;
    ensure!(output.status.code() == Some(1), "{name} without a closed section passed");
    Ok(())
}

#[test]
fn every_sample_is_valid() -> Result<()> {
    for entry in fs::read_dir(sample(""))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()) else {
            continue;
        };
        let output = verify(role(name), &path)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success() && printed.contains("syntax is ok"), "{name}: {printed}");
    }
    Ok(())
}

#[test]
fn each_key_of_the_server_s_toml_sample_is_guarded() -> Result<()> {
    damage_toml("frps_full.toml")
}

#[test]
fn each_key_of_the_client_s_toml_sample_is_guarded() -> Result<()> {
    damage_toml("frpc_full.toml")
}

#[test]
fn damaged_ini_samples_end_in_order() -> Result<()> {
    ["frps.ini", "frpc.ini", "frps_full.ini", "frpc_full.ini"].into_iter().try_for_each(damage_ini)
}
