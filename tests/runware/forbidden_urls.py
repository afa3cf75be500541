"""The URLs that must never be asked for when a result names them, by what is wrong with each.

Every vector is the worst case that still has to be refused: where the host itself is what is wrong, it is on the
connection's list, and where a name is looked up, the name server is the attacker's.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_clarity.runware import IMAGE_HOSTS

PUBLIC = "93.184.215.14"
METADATA = "169.254.169.254"
API = "https://api.runware.ai/v1"
EMULATOR = "http://127.0.0.1:8080/v1"


@dataclass(frozen=True)
class Vector:
    """One URL, and the world it is met in.

    :param url: the ``imageURL`` of a result
    :param allowed: the connection's ``allowed_image_hosts``
    :param answers: what the name server says of any name; empty means that it knows none
    :param base_url: the connection's own address
    :param proxy: the proxy of the environment
    """

    url: str
    allowed: tuple[str, ...] = IMAGE_HOSTS
    answers: tuple[str, ...] = (PUBLIC,)
    base_url: str = API
    proxy: str | None = None


def _listed(*hosts: str, url: str = "https://{}/x.jpg", **more: str) -> list[Vector]:
    """Make vectors whose host is on the list in every way it might be written there."""
    return [
        Vector(url.format(host), allowed=(host, host.strip("[]"), host.rstrip("."), ".example"), **more)  # type: ignore[arg-type]
        for host in hosts
    ]


def _answered(*answers: str, url: str = "https://im.runware.ai/x.jpg", **more: str) -> Vector:
    return Vector(url, answers=answers, **more)  # type: ignore[arg-type]


def _plain(*urls: str) -> list[Vector]:
    return [Vector(url) for url in urls]


FORBIDDEN: dict[str, list[Vector]] = {
    "private": _listed(
        "10.0.0.1",
        "10.255.255.254",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "240.0.0.1",
        "255.255.255.255",
        "[fc00::1]",
        "[fd12:3456:789a::1]",
        "[fec0::1]",
        "[2001:db8::1]",
    ),
    "loopback": [
        *_listed("127.0.0.1", "127.255.255.254", "0.0.0.0", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]"),  # noqa: S104
        *_listed("127.0.0.1", "[::1]", url="http://{}/x.jpg"),
        *[Vector(f"https://{name}/x.jpg", (name,), ("127.0.0.1",)) for name in ("localhost", "LOCALHOST.")],
    ],
    "link-local and multicast": _listed(
        "169.254.0.1", "[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "224.0.0.1", "[ff02::1]"
    ),
    "metadata": [
        *_listed(METADATA, url="https://{}/computeMetadata/v1/instance/service-accounts/default/token"),
        *_listed(METADATA, url="http://{}/latest/meta-data/iam/security-credentials/"),
        *_listed("168.63.129.16", "100.100.100.200", "192.0.0.192", "[fd00:ec2::254]", "[fd20:ce::254]"),
        Vector("https://metadata.google.internal/", ("metadata.google.internal",), (METADATA,)),
        Vector("http://metadata/computeMetadata/v1/", ("metadata",), (METADATA,)),
        Vector("https://im.runware.ai/computeMetadata/v1/", answers=(METADATA,)),
    ],
    "odd IPv4": _listed(
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "10.1",
        "127.0.0.1.",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "127.0.0.256",
        "%31%32%37.0.0.1",
        "１２７.０.０.１",  # noqa: RUF001
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
    ),
    "IPv4 inside IPv6": _listed(
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:a9fe:a9fe]",
        "[::ffff:0:127.0.0.1]",
        "[::127.0.0.1]",
        "[::169.254.169.254]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::1]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:5ef5:79fd::1]",
    ),
    "user": _plain(
        "https://im.runware.ai@evil.example/x.jpg",
        "https://im.runware.ai:443@evil.example/x.jpg",
        "https://im.runware.ai%2f@evil.example/x.jpg",
        "https://user@im.runware.ai/x.jpg",
        "https://user:word@im.runware.ai/x.jpg",
        "https://@im.runware.ai/x.jpg",
        "https://:@im.runware.ai/x.jpg",
        "https://evil.example%40im.runware.ai/x.jpg",
    ),
    "scheme": _plain(
        "http://im.runware.ai/x.jpg",
        "file:///etc/passwd",
        "file://im.runware.ai/etc/passwd",
        "ftp://im.runware.ai/x.jpg",
        "gopher://im.runware.ai/x.jpg",
        "ws://im.runware.ai/x.jpg",
        "wss://im.runware.ai/x.jpg",
        "gs://im.runware.ai/x.jpg",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "//im.runware.ai/x.jpg",
        "im.runware.ai/x.jpg",
        "/x.jpg",
        "https:im.runware.ai/x.jpg",
        "https:/im.runware.ai/x.jpg",
        "https:///im.runware.ai/x.jpg",
        "https://",
        "https:",
        "",
        "not a url",
    ),
    "backslash": _plain(
        "https://evil.example\\.runware.ai/x.jpg",
        "https://im.runware.ai\\@evil.example/x.jpg",
        "https://evil.example\\@im.runware.ai/x.jpg",
        "https:\\\\im.runware.ai\\x.jpg",
        "https:/\\evil.example/x.jpg",
        "https://\\evil.example",
    ),
    "beside the list": _plain(
        "https://im.runware.ai.evil.example/x.jpg",
        "https://evilrunware.ai/x.jpg",
        "https://im-runware.ai/x.jpg",
        "https://runware.ai/x.jpg",
        "https://evil.example/im.runware.ai",
        "https://evil.example/?https://im.runware.ai/x.jpg",
        "https://evil.example?.runware.ai",
        "https://evil.example#.runware.ai",
        "https://evil.example;.runware.ai/x.jpg",
        "https://evil.example,.runware.ai/x.jpg",
        "https://evil.example%2f.runware.ai/x.jpg",
        "https://evil.example%23.runware.ai/x.jpg",
        "https://evil.example%00.runware.ai/x.jpg",
        "https://*.runware.ai/x.jpg",
        "https://a..runware.ai/x.jpg",
        "https://.runware.ai/x.jpg",
        "https://-a.runware.ai/x.jpg",
        "https://im.runw\u0430re.ai/x.jpg",
        "https://[::1].runware.ai/x.jpg",
    ),
    "port": [
        *_plain(*(f"https://im.runware.ai:{port}/x.jpg" for port in (0, 22, 80, 6379, 8443, 65536, 99999, -1, "x"))),
        *_listed(PUBLIC, url="https://{}:22/x.jpg"),
    ],
    "control characters": _plain(
        "https://im.runware.ai\n.evil.example/x.jpg",
        "https://im.runware.ai/x.jpg\r\nHost: evil.example",
        "https://im.runware.ai/x.jpg HTTP/1.1\r\n\r\nGET /",
        "https://im.runware.ai\t/x.jpg",
        "https://im.runware.ai/\x00",
        "https://im.runware.ai/\x1b[2J",
        "https://im.runware.ai/\x7f",
        " https://im.runware.ai/x.jpg",
        "https://im.runware.ai\u2028/x.jpg",
        "https://\u202eia.erawnur.mi/x.jpg",
        "https://\ud800.runware.ai/x.jpg",
    ),
    "over-long": _plain(
        f"https://im.runware.ai/{'a' * 8200}",
        f"https://im.runware.ai/{'a' * 70_000}",
        f"https://im.runware.ai/?{'a' * 8200}",
        f"https://{'a' * 64}.runware.ai/x.jpg",
        f"https://{'a.' * 130}runware.ai/x.jpg",
    ),
    "a listed name that leads inside": [
        _answered("10.0.0.1"),
        _answered("127.0.0.1"),
        _answered("::1"),
        _answered("fe80::1%eth0"),
        _answered("::ffff:10.0.0.1"),
        _answered("64:ff9b::7f00:1"),
        _answered("0.0.0.0"),  # noqa: S104
        _answered(PUBLIC, "10.0.0.1"),
        _answered("10.0.0.1", PUBLIC),
        _answered(PUBLIC, "fd00::1"),
        _answered(),
    ],
    "a loopback connection": [
        Vector("http://10.0.0.1/x.jpg", ("10.0.0.1",), base_url=EMULATOR),
        Vector("http://im.runware.ai/x.jpg", base_url=EMULATOR),
        Vector("http://127.0.0.1.evil.example/x.jpg", base_url=EMULATOR),
        Vector("http://localhost.evil.example/x.jpg", base_url=EMULATOR),
        Vector("http://127.1/x.jpg", ("127.1",), base_url=EMULATOR),
        Vector(f"https://{METADATA}/", (METADATA,), base_url=EMULATOR),
        _answered("10.0.0.1", url="http://localhost/x.jpg", base_url=EMULATOR),
        _answered("10.0.0.1", base_url=EMULATOR),
        # Its client goes past the proxy, so the look at the address must not be left to the proxy.
        _answered("10.0.0.1", base_url=EMULATOR, proxy="http://proxy.example:3128"),
    ],
    "behind a proxy": _listed(
        "10.0.0.1", METADATA, "0x7f000001", "127.1", "[::1]", "[64:ff9b::7f00:1]", proxy="http://proxy.example:3128"
    ),
}

REDIRECTS = (301, 302, 303, 307, 308)
TARGETS = (
    "https://im.runware.ai/other.jpg",
    "/other.jpg",
    "//evil.example/x.jpg",
    "https://evil.example/x.jpg",
    "http://im.runware.ai/x.jpg",
    f"http://{METADATA}/computeMetadata/v1/",
    "https://127.0.0.1/x.jpg",
    "https://localhost/x.jpg",
    "https://[::1]/x.jpg",
    "file:///etc/passwd",
    "data:image/png;base64,AAAA",
)
