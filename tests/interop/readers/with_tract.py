"""Sonos' tract, which wants to know every side: the graph's input gets the shape of the pictures.

It names outputs after the nodes that make them, and keeps their order.
"""

import tract


def read(model, images, work):
    graph = tract.onnx().load(str(model))
    graph.set_input_fact(0, ",".join(map(str, images.shape)) + ",f32")
    graph.analyse()
    found = graph.into_model().into_runnable().run([images])
    return {str(number): value.to_numpy() for number, value in enumerate(found)}, f"tract {tract.version()}"
