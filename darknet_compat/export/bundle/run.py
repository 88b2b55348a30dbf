"""python3 run.py MODEL PICTURES...: the class, the score and the corners x1 y1 x2 y2, in pixels, of what is found."""
import ctypes, json, sys
from pathlib import Path
import cv2, numpy as np
sys.excepthook = lambda kind, error, trace: print(f"run.py: {error}\n{__doc__}", file=sys.stderr)
about = json.loads(Path(__file__).with_name("model.json").read_text(encoding="utf-8"))

def open_engine(path):  # memory that both sides see, by the driver's own functions: JetPack has no package for them
    trt, cuda, arrays, own = __import__(about["tensorrt"]), ctypes.CDLL("libcuda.so.1"), {}, ctypes.c_void_p()
    fails = cuda.cuInit(0) or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(own), 0) or cuda.cuCtxPushCurrent_v2(own)
    if fails: sys.exit("there is no NVIDIA GPU, or its driver fails")
    runtime = trt.Runtime(trt.Logger())
    engine = runtime.deserialize_cuda_engine(Path(path).read_bytes()) or sys.exit(f"{path}: cannot be loaded here")
    context = engine.create_execution_context()
    context.set_input_shape("images", about["shape"])
    for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
        shape, kind = tuple(context.get_tensor_shape(name)), np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
        place, size = ctypes.c_void_p(), int(np.prod(shape)) * kind.itemsize
        if cuda.cuMemAllocManaged(ctypes.byref(place), ctypes.c_size_t(size), 1): sys.exit("the GPU has no memory left")
        context.set_tensor_address(name, place.value)
        arrays[name] = np.frombuffer((ctypes.c_char * size).from_address(place.value), kind).reshape(shape)
    ran = lambda: context.execute_async_v3(0) and not cuda.cuCtxSynchronize()
    return lambda x, kept=runtime: np.copyto(arrays["images"], x) or (arrays if ran() else sys.exit("TensorRT fails"))

def open_onnx(path):
    session = __import__("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: dict(zip((out.name for out in session.get_outputs()), session.run(None, {"images": images})))

def resize(x, axis, size):  # as Darknet does, corners on corners
    at = np.arange(size, dtype=np.float32) * (np.float32(x.shape[axis] - 1) / np.float32(max(size - 1, 1)))
    part = np.expand_dims(at - at.astype(int), (1, 2) if axis == 0 else (0, 2))
    return x.take(at.astype(int), axis) * (1 - part) + x.take(at.astype(int) + 1, axis, mode="clip") * part

def overlap(a, b):  # the IoU of a box and others, of x1 y1 x2 y2; by the fork's nms_kind less what they are apart
    least, most = np.minimum(a, b), np.maximum(a, b)
    both, around = least[:, 2:] - most[:, :2], most[:, 2:] - least[:, :2]
    inside, apart = both.clip(0).prod(1), (a[:2] + a[2:] - b[:, :2] - b[:, 2:]) / 2
    iou = inside / ((a[2:] - a[:2]).prod() + (b[:, 2:] - b[:, :2]).prod(1) - inside)
    return iou - ((apart**2).sum(1) / (around**2).sum(1)) ** about["exponent"] if about["exponent"] else iou

def detect(picture, run):  # uint8 [H, W, 3] as OpenCV reads it; rows of class, score, left, top, right, bottom
    (high, wide), (w, h) = picture.shape[:2], about["size"]
    fit = (w, high * w // wide) if w / wide < h / high else (wide * h // high, h)
    fit = np.array((w, h) if about["resize"] == "stretch" else fit)
    (left, top), x = ((w, h) - fit) // 2, np.full((h, w, 3), 0.5, np.float32)
    x[top:, left:][:fit[1], :fit[0]] = resize(resize(picture[..., ::-1] / np.float32(255), 1, fit[0]), 0, fit[1])
    found = run(np.rint(x * 255)[None].astype(np.uint8) if about["input"] == "uint8" else x.transpose(2, 0, 1)[None])
    boxes, scores = found["boxes"][0], found["objectness"][0, :, None] * found["classes"][0]
    middle, half = (boxes[:, :2] - 0.5) * (w, h) / fit + 0.5, boxes[:, 2:] * (w, h) / fit / 2
    boxes = np.hstack([middle - half, middle + half])
    for label in np.flatnonzero((scores > about["thresh"]).any(0)):
        at = np.argsort(-scores[:, label], kind="stable")[:(scores[:, label] > about["thresh"]).sum()]
        while len(at):
            yield about["names"][label], scores[at[0], label], *boxes[at[0]] * (wide, high, wide, high)
            at = at[1:][overlap(boxes[at[0]], boxes[at[1:]]) <= about["nms"]]

run = (open_onnx if sys.argv[1].endswith(".onnx") else open_engine)(sys.argv[1])
for path in sys.argv[2:]:
    for name, *numbers in detect(sys.exit(f"{path}: is no picture") if (x := cv2.imread(path)) is None else x, run):
        print(path, name, "{:.6f}\t{:.3f}\t{:.3f}\t{:.3f}\t{:.3f}".format(*numbers), sep="\t")
