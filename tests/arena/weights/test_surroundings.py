"""Variables with which no hub can be asked are told by their name, in a line, before anything is remembered."""

import ssl

import pytest

from arena.weights import surroundings

CERTIFICATES = ssl.get_default_verify_paths().cafile


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"HF_ENDPOINT": "hub.example.org"}, "HF_ENDPOINT=hub.example.org"),
        ({"HF_ENDPOINT": "hub.example.org:8080/x"}, "HF_ENDPOINT=hub.example.org:8080/x"),
        ({"HF_ENDPOINT": "ftp://hub.example.org"}, "HF_ENDPOINT=ftp://hub.example.org"),
        ({"HF_ENDPOINT": "https://"}, "HF_ENDPOINT=https://"),
        ({"HF_ENDPOINT": "http://[::1"}, "HF_ENDPOINT=http://[::1"),
        ({"all_proxy": "socks5://127.0.0.1:1080"}, "all_proxy=socks5://127.0.0.1:1080"),
        ({"ALL_PROXY": "socks5h://me:secret@localhost:1080"}, "ALL_PROXY=socks5h://localhost:1080"),
        ({"https_proxy": "socks4://localhost:1080"}, "https_proxy=socks4://localhost:1080"),
        ({"HTTP_PROXY": "http://localhost:port"}, "HTTP_PROXY=http://localhost:port"),
        ({"http_proxy": "http://"}, "http_proxy=http://"),
        ({"SSL_CERT_FILE": "/not/there.pem"}, "SSL_CERT_FILE=/not/there.pem"),
        ({"REQUESTS_CA_BUNDLE": "/not/there.pem"}, "REQUESTS_CA_BUNDLE=/not/there.pem"),
        ({"CURL_CA_BUNDLE": "/not/there.pem"}, "CURL_CA_BUNDLE=/not/there.pem"),
        ({"SSL_CERT_FILE": __file__}, f"SSL_CERT_FILE={__file__}"),
        ({"SSL_CERT_DIR": "/not/there:/nor/here"}, "SSL_CERT_DIR=/not/there:/nor/here"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_named(variables, name):
    why = surroundings.fault(variables)
    assert why.startswith(f"{name}: ") and "\n" not in why and "secret" not in why
    assert "unset" in why


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"HF_ENDPOINT": ""},
        {"HF_ENDPOINT": "https://huggingface.co"},
        {"HF_ENDPOINT": "http://127.0.0.1:8080/mirror"},
        {"http_proxy": "proxy.example.org:3128"},
        {"HTTPS_PROXY": "http://me:secret@proxy.example.org:3128", "all_proxy": ""},
        {"all_proxy": "socks5://127.0.0.1:1080", "no_proxy": "localhost, *"},
        {"SSL_CERT_FILE": CERTIFICATES} if CERTIFICATES else {},
        {"SSL_CERT_DIR": "/not/there:/tmp"},
        {"REQUESTS_CA_BUNDLE": "/tmp"},
    ],
)
def test_what_may_be_meant_is_left_alone(variables):
    assert surroundings.fault(variables) is None


def test_the_proxy_for_an_address_is_the_one_that_clients_take():
    environ = {
        "https_proxy": "a:1",
        "HTTPS_PROXY": "b:2",
        "ALL_PROXY": "http://c:3",
        "no_proxy": "inside.org",
    }
    assert surroundings.proxy_for(environ, "https://hub.org") == ("https_proxy", "http://a:1")
    assert surroundings.proxy_for(environ, "http://hub.org") == ("ALL_PROXY", "http://c:3")
    assert surroundings.proxy_for(environ, "https://hub.inside.org") is None
    assert surroundings.proxy_for({}, "https://hub.org") is None
