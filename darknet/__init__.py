"""The Darknet language: cfg text → sections → typed layers, and the layout of weights files.

Shared by the converter (`zoo.convert.from_darknet`) and the float64 interpreter (`zoo.verify.reference`). It says what
a network is and where its weights lie; it computes nothing and knows no other format.
"""

from zoo.darknet.cfg import Cfg, Option, Section, parse_cfg
from zoo.darknet.layers import Layer
from zoo.darknet.network import Network, read_network
from zoo.darknet.weights import Weights, read_weights

__all__ = ["Cfg", "Layer", "Network", "Option", "Section", "Weights", "parse_cfg", "read_network", "read_weights"]
