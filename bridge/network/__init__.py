"""What MATLAB knows about a network, in MATLAB's layout and words. It knows neither torch nor ONNX."""

from bridge.network.base import JOINED as JOINED
from bridge.network.base import BaseNetwork as BaseNetwork
from bridge.network.base import Source as Source
from bridge.network.base import check_structure as check_structure
from bridge.network.layer import Connection as Connection
from bridge.network.layer import Factor as Factor
from bridge.network.layer import Layer as Layer
from bridge.network.layer import LayerList as LayerList
from bridge.network.layer import Learnable as Learnable
from bridge.network.layer import checked_factor as checked_factor
from bridge.network.layer import checked_gates as checked_gates
from bridge.network.layer import factor_names as factor_names
from bridge.network.layer import make_layer as make_layer
from bridge.network.layer import require_ports as require_ports
from bridge.network.layer import saved_factor as saved_factor
from bridge.network.layer import simplest as simplest
from bridge.network.network import Network as Network
