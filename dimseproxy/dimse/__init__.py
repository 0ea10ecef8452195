"""
The DICOM message exchange (PS3.7), pure.

- `command_set`: group 0000 as a value, `status`: what a status means
- `assembler`: PDVs to message parts, `fragmenter`: message parts to P-DATA-TF PDUs
- `sop_classes`: which service a SOP class belongs to
"""
