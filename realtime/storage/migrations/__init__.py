"""The way from any older database to the one that `tables` describes; run by `storage.migrate`."""
