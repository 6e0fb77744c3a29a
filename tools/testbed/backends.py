"""Real servers to balance over: nginx answers with its name on port 80 (/from: who asks), dnsmasq with its name to DNS on port 53."""

import subprocess

from testbed.lab import LabError, http, wait_for

NGINX_CONF = """
daemon off;
user root;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  keepalive_requests 100000000;
  sendfile on;
  server {{
    listen 80 backlog=4096 reuseport;
    listen [::]:80 backlog=4096 reuseport ipv6only=on;
    location / {{ return 200 "{name}\\n"; }}
    location /from {{ return 200 "$remote_addr\\n"; }}
    location /files/ {{ alias {dir}/files/; }}
  }}
}}
"""


class Backend:
    """One server of the lab with its two programs."""

    def __init__(self, lab, number):
        self.lab, self.number = lab, number
        self.node, self.name = f"s{number}", f"web{number}"
        self.dir = lab.state / self.name
        self.files = self.dir / "files"
        self.nginx = self.dnsmasq = None
        self.files.mkdir(parents=True)
        (self.dir / "nginx.conf").write_text(NGINX_CONF.format(dir=self.dir, name=self.name))

    def _listening(self, transport, port):
        found = self.lab.run(self.node, "ss", "-Hln", f"--{transport}", f"sport = :{port}").stdout
        return len(found.splitlines()) >= 2  # both families

    def _wait_listening(self, process, transport, port, program):
        def there():
            if process.poll() is not None:
                raise LabError(f"{program} at {self.node} ended: {self.lab.read(self.name + '.log').strip()}")
            return self._listening(transport, port)

        wait_for(there, f"{program} at {self.node} to listen on port {port}")

    def start_nginx(self):
        self.nginx = self.lab.start(self.node, "nginx", "-p", self.dir, "-c", self.dir / "nginx.conf", log=f"{self.name}.log")
        self._wait_listening(self.nginx, "tcp", 80, "nginx")

    def stop_nginx(self):
        self.nginx.terminate()
        self.nginx.wait(timeout=20)

    def start_dns(self):
        self.dnsmasq = self.lab.start(
            self.node, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=",
            "--no-resolv", "--no-hosts", "--log-facility=-", f"--txt-record=whoami.lab,{self.name}", "--local=/lab/",
            log=f"{self.name}.log")
        self._wait_listening(self.dnsmasq, "udp", 53, "dnsmasq")


def start_backends(lab, *, dns=False):
    """A backend with nginx (and dnsmasq) at each server of the lab, by name."""
    backends = [Backend(lab, number) for number in lab.server_numbers()]
    for backend in backends:
        backend.start_nginx()
        if dns:
            backend.start_dns()
    return {backend.name: backend for backend in backends}


def count(lines):
    """How often each line occurs, in order of the names."""
    lines = list(lines)
    return {name: lines.count(name) for name in sorted(set(lines))}


def ask_http(lab, address, requests, *, port=80, node="client"):
    """Sends requests one after the other, a connection each; returns (answers by server, how many failed)."""
    done = lab.run(node, "curl", "-sS", "--globoff", "--max-time", "5",
                   "-H", "Connection: close", *[f"http://{http(address)}:{port}/"] * requests, check=False)
    names = done.stdout.split()
    return count(names), requests - len(names)


def ask_dns(lab, address, queries, *, node="client"):
    """Sends DNS queries over UDP, a socket each; returns (answers by server, how many failed)."""
    done = lab.run(node, "dig", "+short", "+tries=1", "+time=3", f"@{address}",
                   *["whoami.lab", "TXT"] * queries, check=False)
    names = [line.strip('"') for line in done.stdout.splitlines() if line.startswith('"')]
    return count(names), queries - len(names)


def ping(lab, address, *, node="client"):
    """Whether the address answers a ping."""
    done = subprocess.run(lab.at(node, "ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", address), capture_output=True, text=True)
    return done.returncode == 0
