"""The tests: folders as in `realtime`, beside whole conversations and the real daemon."""
