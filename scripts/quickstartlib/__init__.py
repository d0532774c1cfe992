"""The part of scripts/quickstart that runs once minik is installed."""
