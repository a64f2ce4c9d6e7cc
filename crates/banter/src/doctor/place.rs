//! Checks of what a server on this machine needs: its port, and its store.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use banter_remote::Address;
use banter_remote::size::show_bytes;
use banter_store::{Examined, examine};

use super::finding::{Finding, said};
use crate::config::{Listen, StoreChoice};
use crate::listen::who_answers;

/// Where a server of this machine answers, without https and with it.
pub fn addresses(listen: &Listen) -> [Address; 2] {
    let host = SocketAddr::new(host(listen), listen.port);
    ["http", "https"].map(|scheme| {
        Address::parse(&format!("{scheme}://{host}")).expect("a host and a port make an address")
    })
}

/// The address on which others are asked whether they listen.
fn host(listen: &Listen) -> IpAddr {
    let named = listen.host.filter(|host| !host.is_unspecified());
    named.unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// The result for a port on which no banter answers.
pub fn port(listen: &Listen) -> Finding {
    let port = listen.port;
    if TcpListener::bind((host(listen), port)).is_err() {
        return taken(listen);
    }
    let found = said(
        format!("nobody uses port {port}; `banter serve` can be started"),
        format!("端口 {port} 空闲；可以运行 banter serve"),
    );
    Finding::ok("port", found)
}

/// The result for a port that another program has.
fn taken(listen: &Listen) -> Finding {
    let port = listen.port;
    let what = who_answers(SocketAddr::new(host(listen), port));
    let found = match what {
        Some(what) => said(
            format!("port {port} is taken: {what} answers there"),
            format!("端口 {port} 已被占用：应答的是 {what}"),
        ),
        None => said(
            format!(
                "port {port} cannot be used here: another program has it, or this user may not"
            ),
            format!("端口 {port} 无法使用：被其他程序占用，或当前用户无权使用"),
        ),
    };
    let todo = said(
        "end that program, or choose another port: `banter serve --port 7861`",
        "请结束该程序，或换一个端口：banter serve --port 7861",
    );
    Finding::problem("port", found, todo)
}

/// Whether the store of conversations is whole.
pub fn store(choice: &StoreChoice) -> Finding {
    let folder = match choice.folder() {
        Some(folder) => folder,
        None => {
            let found = said("conversations are kept in memory only", "对话只保存在内存中");
            let todo = said(
                "name a folder with --data to keep them",
                "要长期保存，请用 --data 指定文件夹",
            );
            return Finding::warning("store", found, todo);
        }
    };
    let shown = folder.display();
    let set_aside = said(
        "copy the folder, then put a backup in its place, or begin with an empty one: `banter data set-aside`",
        "请先复制该文件夹，再用备份替换，或从空库开始：banter data set-aside",
    );
    match examine(folder) {
        Ok(Examined::Nothing) => Finding::ok(
            "store",
            said(format!("no conversations in {shown} yet"), format!("{shown} 中还没有对话")),
        ),
        Ok(Examined::InUse { .. }) => Finding::ok(
            "store",
            said(
                format!("a running server uses {shown}, and checked it when it started"),
                format!("正在运行的服务器使用 {shown}，启动时已检查"),
            ),
        ),
        Ok(Examined::Whole { bytes }) => {
            let bytes = show_bytes(bytes);
            Finding::ok(
                "store",
                said(format!("{shown} is whole, {bytes}"), format!("{shown} 完好，{bytes}")),
            )
        }
        Ok(Examined::Damaged { finding }) => Finding::problem(
            "store",
            said(format!("{shown} is damaged: {finding}"), format!("{shown} 已损坏：{finding}")),
            set_aside,
        ),
        Err(error) => {
            Finding::problem("store", said(error.to_string(), error.to_string()), set_aside)
        }
    }
}
