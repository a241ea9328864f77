"""A load generator on the clients: any of the five protocols, latencies as a user sees them."""
