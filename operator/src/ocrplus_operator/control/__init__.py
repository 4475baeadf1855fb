"""Deciding: frozen values in, frozen values out. No clock, no network, no Kubernetes here."""
