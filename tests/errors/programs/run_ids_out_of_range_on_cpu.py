# raises: DataError, ValueError
import numpy as np

import kgraph as keras

graph = keras.ir.parse("""kgraph 1
graph @rows [B >= 1] {
  inputs  %table: f32[3, 2], %ids: i32[B]
  %0: f32[B, 2] = gather(%table, %ids)
  return %0
}
""")
keras.ir.run(graph, {"table": np.ones((3, 2)), "ids": np.array([0, -7])}, target="cpu")
