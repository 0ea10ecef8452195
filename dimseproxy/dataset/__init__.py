"""
Data sets (PS3.5), pure.

pydicom, where it is used, says nothing about them: what it finds strange it quotes, and Twisted puts warnings into the
log, where no value may be.
"""

from __future__ import annotations

import warnings

from pydicom import config

# Here, because nobody comes to a data set another way.  What pydicom does not look for it does not warn of, whatever
# filters there are; ours is for the warnings that no setting turns off.
config.settings.reading_validation_mode = config.IGNORE
config.settings.writing_validation_mode = config.IGNORE
warnings.filterwarnings("ignore", module=r"pydicom\.")
