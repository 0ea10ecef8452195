"""
The DICOM upper layer (PS3.8), pure: bytes in, events out.  No socket, no clock, no log.

- `pdu`: the protocol data units as values, `user_information`: their user information sub-items
- `codec`: values to bytes and back, `cursor`: reading within bounds
- `framer`: a byte stream cut into PDUs
- `state_table`: Table 9-10 as data, `machine`: what each of its actions does
- `negotiation`: what one leg proposes and answers, given the other
"""
