"""OpenCV's dnn module. `cv2.dnn.readNetFromONNX`, as its users do."""

import cv2


def read(model, images, work):
    net = cv2.dnn.readNetFromONNX(str(model))
    names = net.getUnconnectedOutLayersNames()
    net.setInput(images, "images")
    return dict(zip(names, net.forward(names), strict=True)), f"OpenCV {cv2.__version__}"
