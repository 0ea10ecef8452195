"""The proxy as it is run, between real DICOM applications."""
