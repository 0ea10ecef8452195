"""
Pairs inbound with outbound associations.

- `reception`: what becomes of a request, `access`: who may call, `routing`: where to, `call`: a caller that is let in
- `relay`: one caller's association and the outbound's, joined; `filters`: what may change on the way
- `retrieves`: the retrieves and commitments that an outbound answers on associations of its own; `deliveries`: those
- `get_for_move`: C-MOVE towards an outbound that only has C-GET
"""
