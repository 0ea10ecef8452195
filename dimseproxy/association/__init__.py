"""
The joint: associations, and the Twisted protocol that carries them over TCP and TLS.

- `interfaces`: what inbound, outbound and relay know of one another
- `protocol`: an association on a transport; `incoming` and `requested`: its two ends; `limits`: what it may cost
- `stream`: bytes, back-pressure and closing; `deadlines`: who looks at the clock
- `tls`, `handshake`, `peer_names`: TLS
"""
