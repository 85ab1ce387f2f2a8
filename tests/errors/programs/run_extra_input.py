# raises: DataError, ValueError
import numpy as np

import kgraph as keras

graph = keras.ir.parse("""kgraph 1
graph @double [B >= 1] {
  inputs  %x: f32[B, 4]
  %0: f32[B, 4] = add(%x, %x)
  return %0
}
""")
keras.ir.run(graph, {"x": np.ones((2, 4)), "y": np.ones(3)})
