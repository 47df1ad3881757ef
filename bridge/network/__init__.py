"""What MATLAB knows about a network, in MATLAB's layout and words. It knows neither torch nor ONNX."""

from bridge.network.network import EMPTY as EMPTY
from bridge.network.network import JOINED as JOINED
from bridge.network.network import Connection as Connection
from bridge.network.network import Factor as Factor
from bridge.network.network import Layer as Layer
from bridge.network.network import LayerList as LayerList
from bridge.network.network import Learnable as Learnable
from bridge.network.network import Network as Network
from bridge.network.network import Source as Source
from bridge.network.network import check_structure as check_structure
from bridge.network.network import checked_factor as checked_factor
from bridge.network.network import checked_gates as checked_gates
from bridge.network.network import factor_names as factor_names
from bridge.network.network import make_layer as make_layer
from bridge.network.network import nearest as nearest
from bridge.network.network import ports as ports
from bridge.network.network import require_ports as require_ports
from bridge.network.network import saved_factor as saved_factor
from bridge.network.network import simplest as simplest
from bridge.network.network import unknown_row as unknown_row
