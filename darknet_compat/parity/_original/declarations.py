"""What of the original's interface is used, in C.

The compiler takes sizes and offsets from the installed darknet.h; here stand only the names in use. A function more
needs one line in CDEF, or in _UNDECLARED where darknet.h does not declare it though the library exports it.
"""

from __future__ import annotations

MODULE = "_darknet_original"

_UNDECLARED = """
void distort_image(image im, float hue, float sat, float val);
void embed_image(image source, image dest, int dx, int dy);
void place_image(image im, int w, int h, int dx, int dy, image canvas);
image rotate_crop_image(image im, float rad, float s, int w, int h, float dx, float dy, float aspect);
void hierarchy_predictions(float *predictions, int n, tree *hier, int only_leaves, int stride);
data load_data_detection(
    int n, char **paths, int m, int w, int h, int boxes, int classes,
    float jitter, float hue, float saturation, float exposure);
data load_data_region(
    int n, char **paths, int m, int w, int h, int size, int classes,
    float jitter, float hue, float saturation, float exposure);
data load_data_augment(
    char **paths, int n, int m, char **labels, int k, tree *hierarchy, int min, int max, int size,
    float angle, float aspect, float hue, float saturation, float exposure, int center);
"""
"""What the library exports, and darknet.h does not declare."""

SOURCE = f"""
#include <darknet.h>

typedef struct {{ char *type; list *options; }} section;
{_UNDECLARED}"""

CDEF = (
    """
typedef enum {
    CONVOLUTIONAL, DECONVOLUTIONAL, CONNECTED, MAXPOOL, SOFTMAX, DETECTION, DROPOUT, CROP, ROUTE, COST, NORMALIZATION,
    AVGPOOL, LOCAL, SHORTCUT, ACTIVE, RNN, GRU, LSTM, CRNN, BATCHNORM, NETWORK, XNOR, REGION, YOLO, ISEG, REORG,
    UPSAMPLE, LOGXENT, L2NORM, BLANK, ...
} LAYER_TYPE;

typedef struct { int n, groups; ...; } tree;
typedef struct node { void *val; ...; } node;
typedef struct list { int size; node *front; ...; } list;
typedef struct { char *type; list *options; } section;

typedef struct layer layer;
struct layer {
    LAYER_TYPE type;
    int batch, n, w, h, inputs, outputs, out_w, out_h, out_c, classes, coords, background;
    size_t workspace_size;
    float *output, *delta, *cost, *loss;
    tree *softmax_tree;
    layer *input_layer, *self_layer, *output_layer;
    layer *wz, *uz, *wr, *ur, *wh, *uh, *uo, *wo, *uf, *wf, *ui, *wi, *ug, *wg;
    ...;
};

typedef struct network {
    int n, batch, subdivisions, time_steps, inputs, outputs, truths, w, h, c, train;
    size_t *seen;
    layer *layers;
    tree *hierarchy;
    float *input, *truth, *workspace, *cost;
    ...;
} network;

typedef struct matrix { int rows, cols; float **vals; } matrix;
typedef struct { matrix X, y; ...; } data;

typedef struct { int w, h, c; float *data; } image;
typedef struct { float x, y, w, h; } box;
typedef struct detection {
    box bbox;
    int classes;
    float *prob, *mask;
    float objectness;
    int sort_class;
} detection;

void srand(unsigned int seed);
int rand(void);
void *calloc(size_t count, size_t size);
void free(void *memory);
int fflush(FILE *stream);

list *read_cfg(char *filename);
int option_find_int_quiet(list *l, char *key, int def);
network *parse_network_cfg(char *filename);
void load_weights(network *net, char *filename);
void save_weights_upto(network *net, char *filename, int cutoff);
float *network_predict(network *net, float *input);
float get_current_rate(network *net);
float train_network(network *net, data d);
void forward_network(network *net);
void backward_network(network *net);
void update_network(network *net);
void free_network(network *net);
void free_layer(layer l);

detection *get_network_boxes(network *net, int w, int h, float thresh, float hier, int *map, int relative, int *num);
void do_nms_sort(detection *dets, int total, int classes, float thresh);
void do_nms_obj(detection *dets, int total, int classes, float thresh);
void free_detections(detection *dets, int n);
void top_k(float *a, int n, int k, int *index);

void free_data(data d);

image load_image_color(char *filename, int w, int h);
image resize_image(image im, int w, int h);
image letterbox_image(image im, int w, int h);
image resize_min(image im, int min);
image center_crop_image(image im, int w, int h);
image crop_image(image im, int dx, int dy, int w, int h);
void flip_image(image a);
void free_image(image m);
"""
    + _UNDECLARED
)
