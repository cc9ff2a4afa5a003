"""Workers over SSH: a server in this process, with keys made here, that runs what it is told on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fewbits.errors import ExecutorError
from fewbits.executors.base import ENVIRONMENT
from fewbits.executors.cluster import WorkerCluster
from fewbits.executors.description import ClusterSection

asyncssh = pytest.importorskip("asyncssh", reason="needs fewbits[cluster]")
distributed = pytest.importorskip("distributed", reason="needs fewbits[cluster]")


class Server:
    """An SSH server on 127.0.0.1 in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.commands: list[str] = []
        self.processes: list[asyncio.subprocess.Process] = []
        own, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        (folder / "key").write_bytes(user.export_private_key())
        (folder / "key").chmod(0o600)
        (folder / "allowed").write_bytes(user.export_public_key())
        self._own, self._allowed = own, str(folder / "allowed")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        port = self._listener.get_port()
        (folder / "known_hosts").write_bytes(f"[127.0.0.1]:{port} ".encode() + own.export_public_key())
        self.config = folder / "config"
        self.config.write_text(
            f"Host farm*\n HostName 127.0.0.1\n Port {port}\n User chips\n IdentityFile {folder / 'key'}\n"
            f" UserKnownHostsFile {folder / 'known_hosts'}\n"
        )

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[self._own], authorized_client_keys=self._allowed,
            process_factory=self._run,
        )  # fmt: skip

    async def _run(self, process: asyncssh.SSHServerProcess) -> None:
        self.commands.append(process.command or "")
        running = await asyncio.create_subprocess_shell(
            process.command or "true", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.processes.append(running)
        await asyncio.gather(_pass_on(running.stdout, process.stdout), _pass_on(running.stderr, process.stderr))
        process.exit(await running.wait())

    def alive(self) -> list[int]:
        """Processes that still run."""
        return [one.pid for one in self.processes if one.returncode is None]

    def close(self) -> None:
        """End all that it started."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._listener.close()
        for one in self.processes:
            if one.returncode is None:
                os.killpg(one.pid, signal.SIGKILL)
            await one.wait()
        await asyncio.sleep(0.1)  # until the pipes are closed


async def _pass_on(source: asyncio.StreamReader, target: asyncssh.SSHWriter) -> None:
    """All that a process prints, before its end is told: what comes after that breaks the whole connection."""
    while line := await source.readline():
        target.write(line.decode(errors="replace"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


def over_ssh(server: Server, *hosts: str, **more: object) -> ClusterSection:
    return ClusterSection(system="ssh", hosts=hosts, ssh_config=str(server.config), **more)  # type: ignore[arg-type]


def test_workers_over_ssh_do_jobs_and_end_with_the_cluster(server: Server):
    import subprocess

    cluster = over_ssh(server, "farm1", "farm2")
    with WorkerCluster(cluster) as workers, distributed.Client(workers.dask) as client:
        client.wait_for_workers(2, timeout=60)
        names = sorted(str(one["name"]) for one in client.scheduler_info()["workers"].values())
        lines = client.submit(subprocess.check_output, ["env"], text=True).result(timeout=30).splitlines()
    assert {f"{name}={value}" for name, value in ENVIRONMENT.items()} <= set(lines)
    assert names == ["farm1-0", "farm2-1"]
    for _ in range(200):
        if not server.alive():
            break
        threading.Event().wait(0.05)
    assert server.alive() == []


def test_a_host_that_is_not_there_is_told_and_the_others_work(server: Server):
    cluster = over_ssh(server, "farm1", "nowhere.invalid")
    with WorkerCluster(cluster) as workers, distributed.Client(workers.dask) as client:
        client.wait_for_workers(1, timeout=60)
        (line,) = workers.troubles()
    assert line.startswith("ssh started no worker: nowhere.invalid: ")


def test_no_host_at_all_ends_the_start(server: Server):
    with pytest.raises(ExecutorError, match=r"no worker of ssh was started: nowhere\.invalid: ") as caught:
        WorkerCluster(over_ssh(server, "nowhere.invalid")).start()
    assert "\n" not in str(caught.value)


def test_a_host_without_the_python_ends_the_start(server: Server):
    with pytest.raises(ExecutorError, match=r"farm1: .*start"):
        WorkerCluster(over_ssh(server, "farm1", python="/nowhere/python")).start()
