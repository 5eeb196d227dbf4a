"""Can TensorFlow really open it? A process of its own tells, whose death costs nobody anything.

``opener.py`` is a plain script that any interpreter with TensorFlow can run (``verify.python``);
``process.py`` starts and bounds it, ``layout.py`` names the files as Keras wants them named.
"""

from watcherd.verify.layout import laid_out
from watcherd.verify.process import Died, Opener

__all__ = ["Died", "Opener", "laid_out"]
