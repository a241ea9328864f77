"""Users, their passwords and their tokens: who is at the other end of a connection.

A token is judged in two steps. The modules here judge what can be judged from the token alone: its
signature, its times, its shape. Whether its user still exists and has not revoked it is in the
database, and is asked afterwards.

Two kinds of keys never meet. This server's own secret serves HMAC algorithms only
(`realtime.accounts.tokens`), and an outside issuer's public keys serve asymmetric algorithms only
(`realtime.accounts.issuers`), so that nobody can sign with a public key as if it were a secret.
"""
