"""Unit tests of the API server, without sockets."""
