"""What a network is once its `.cfg` has been understood: frozen values, absolute indices, known shapes.

Nothing here is a string option or a relative index any more (`lower` sees to that), and nothing here computes.
Field names are Darknet's own option names where one exists; the original's `make_*_layer` function is the source of
each layer's shapes.
"""

from darknet_compat.definition.shape import Shape as Shape
from darknet_compat.definition.shape import flat as flat
from darknet_compat.definition.spec.base import ActivationName as ActivationName
from darknet_compat.definition.spec.base import LayerSpec as LayerSpec
from darknet_compat.definition.spec.heads import BoxHead as BoxHead
from darknet_compat.definition.spec.heads import BoxMeasure as BoxMeasure
from darknet_compat.definition.spec.heads import Detection as Detection
from darknet_compat.definition.spec.heads import GaussianYolo as GaussianYolo
from darknet_compat.definition.spec.heads import Head as Head
from darknet_compat.definition.spec.heads import Iseg as Iseg
from darknet_compat.definition.spec.heads import Logistic as Logistic
from darknet_compat.definition.spec.heads import Region as Region
from darknet_compat.definition.spec.heads import Softmax as Softmax
from darknet_compat.definition.spec.heads import Yolo as Yolo
from darknet_compat.definition.spec.heads import YoloHead as YoloHead
from darknet_compat.definition.spec.joins import Broadcast as Broadcast
from darknet_compat.definition.spec.joins import Implicit as Implicit
from darknet_compat.definition.spec.joins import Route as Route
from darknet_compat.definition.spec.joins import Sam as Sam
from darknet_compat.definition.spec.joins import ScaleChannels as ScaleChannels
from darknet_compat.definition.spec.joins import Shortcut as Shortcut
from darknet_compat.definition.spec.joins import Sum as Sum
from darknet_compat.definition.spec.layers import BLURS as BLURS
from darknet_compat.definition.spec.layers import Activation as Activation
from darknet_compat.definition.spec.layers import Avgpool as Avgpool
from darknet_compat.definition.spec.layers import Batchnorm as Batchnorm
from darknet_compat.definition.spec.layers import Connected as Connected
from darknet_compat.definition.spec.layers import Contrastive as Contrastive
from darknet_compat.definition.spec.layers import Convolutional as Convolutional
from darknet_compat.definition.spec.layers import Cost as Cost
from darknet_compat.definition.spec.layers import Crop as Crop
from darknet_compat.definition.spec.layers import Deconvolutional as Deconvolutional
from darknet_compat.definition.spec.layers import Dropout as Dropout
from darknet_compat.definition.spec.layers import Empty as Empty
from darknet_compat.definition.spec.layers import L2norm as L2norm
from darknet_compat.definition.spec.layers import Local as Local
from darknet_compat.definition.spec.layers import LocalAvgpool as LocalAvgpool
from darknet_compat.definition.spec.layers import Maxpool as Maxpool
from darknet_compat.definition.spec.layers import MaxpoolDepth as MaxpoolDepth
from darknet_compat.definition.spec.layers import Normalization as Normalization
from darknet_compat.definition.spec.layers import Reorg as Reorg
from darknet_compat.definition.spec.layers import Reorg3d as Reorg3d
from darknet_compat.definition.spec.layers import Upsample as Upsample
from darknet_compat.definition.spec.net import Net as Net
from darknet_compat.definition.spec.network import NetworkSpec as NetworkSpec
from darknet_compat.definition.spec.recurrent import ConvLstm as ConvLstm
from darknet_compat.definition.spec.recurrent import Crnn as Crnn
from darknet_compat.definition.spec.recurrent import Gru as Gru
from darknet_compat.definition.spec.recurrent import History as History
from darknet_compat.definition.spec.recurrent import Lstm as Lstm
from darknet_compat.definition.spec.recurrent import Recurrent as Recurrent
from darknet_compat.definition.spec.recurrent import Rnn as Rnn
from darknet_compat.formats.words import NmsKind as NmsKind
