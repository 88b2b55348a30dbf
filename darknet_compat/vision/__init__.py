"""Pictures and boxes: decoding, the original's resize and letterbox and the way back, IoU and NMS, drawing."""
