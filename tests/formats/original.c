/* What the original's library makes of a file, for the tests of formats:
 *   original shapes CFG...             a line a layer, "out_w out_h out_c outputs"; before each cfg "== CFG" on both streams
 *   original values CFG WEIGHTS OUT    a line an array, "layer name count"; OUT gets their floats one after another
 *   original tree FILE                 a line a field, its name and numbers
 */
#include <darknet.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shapes need no random weights, and most of the time goes into drawing them. The library finds these two first. */
float rand_normal(void) { return 0; }
float rand_uniform(float min, float max) { return min * 0 + max * 0; }

static void shapes(char *cfg)
{
    network *net = parse_network_cfg(cfg);
    for (int i = 0; i < net->n; ++i) {
        layer l = net->layers[i];
        printf("%d %d %d %d\n", l.out_w, l.out_h, l.out_c, l.outputs);
    }
}

static void array(FILE *out, int layer, const char *part, const char *name, float *values, int count)
{
    if (!values || !count) return;
    printf("%d %s%s %d\n", layer, part, name, count);
    fwrite(values, sizeof(float), count, out);
}

static void part(FILE *out, int i, const char *prefix, layer *l)
{
    if (!l) return;
    int filters = l->type == CONNECTED ? l->outputs : l->type == BATCHNORM ? l->c : l->n;
    int weights = l->type == CONNECTED ? l->outputs * l->inputs : l->nweights;
    if (l->type == LOCAL) {
        filters = l->outputs;
        weights = l->size * l->size * l->c * l->n * l->out_w * l->out_h;
    }
    if (l->type != BATCHNORM) array(out, i, prefix, "biases", l->biases, filters);
    if (l->batch_normalize || l->type == BATCHNORM) {
        array(out, i, prefix, "scales", l->scales, filters);
        array(out, i, prefix, "rolling_mean", l->rolling_mean, filters);
        array(out, i, prefix, "rolling_variance", l->rolling_variance, filters);
    }
    array(out, i, prefix, "weights", l->weights, weights);
}

static void values(char *cfg, char *weights, char *path)
{
    network *net = parse_network_cfg(cfg);
    load_weights(net, weights);
    FILE *out = fopen(path, "wb");
    for (int i = 0; i < net->n; ++i) {
        layer *l = net->layers + i;
        if (l->type == CONVOLUTIONAL || l->type == CONNECTED || l->type == LOCAL || l->type == BATCHNORM) part(out, i, "", l);
        part(out, i, "input_layer.", l->input_layer);
        part(out, i, "self_layer.", l->self_layer);
        part(out, i, "output_layer.", l->output_layer);
        part(out, i, "wz.", l->wz);
        part(out, i, "wr.", l->wr);
        part(out, i, "wh.", l->wh);
        part(out, i, "uz.", l->uz);
        part(out, i, "ur.", l->ur);
        part(out, i, "uh.", l->uh);
        part(out, i, "wi.", l->wi);
        part(out, i, "wf.", l->wf);
        part(out, i, "wo.", l->wo);
        part(out, i, "wg.", l->wg);
        part(out, i, "ui.", l->ui);
        part(out, i, "uf.", l->uf);
        part(out, i, "uo.", l->uo);
        part(out, i, "ug.", l->ug);
    }
    fclose(out);
}

static void numbers(const char *name, int *values, int count)
{
    printf("%s", name);
    for (int i = 0; i < count; ++i) printf(" %d", values[i]);
    printf("\n");
}

static void tree_of(char *path)
{
    tree *t = read_tree(path);
    numbers("parent", t->parent, t->n);
    numbers("child", t->child, t->n);
    numbers("group", t->group, t->n);
    numbers("leaf", t->leaf, t->n);
    numbers("group_size", t->group_size, t->groups);
    numbers("group_offset", t->group_offset, t->groups);
}

int main(int count, char **words)
{
    if (count > 2 && !strcmp(words[1], "shapes")) {
        for (int i = 2; i < count; ++i) {
            printf("== %s\n", words[i]);
            fprintf(stderr, "\n== %s\n", words[i]);
            fflush(NULL);
            if (!fork()) { /* the library never gives back all of its memory, and may die */
                shapes(words[i]);
                return 0;
            }
            wait(NULL);
        }
    } else if (count == 5 && !strcmp(words[1], "values")) {
        values(words[2], words[3], words[4]);
    } else if (count == 3 && !strcmp(words[1], "tree")) {
        tree_of(words[2]);
    } else {
        return 2;
    }
    return 0;
}
