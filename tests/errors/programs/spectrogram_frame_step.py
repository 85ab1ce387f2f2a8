# raises: InvalidArgumentError, ValueError
from kgraph.layers import STFTSpectrogram

STFTSpectrogram(frame_length=64, frame_step=128)
