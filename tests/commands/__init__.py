"""Tests of `dimseproxy.commands`."""
