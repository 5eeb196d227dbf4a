"""watcherd keeps a registry of TensorFlow and Keras models true to the disk."""

__version__ = "0.1.0"
