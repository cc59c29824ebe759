// What two threads of this machine can do at most, with nothing around it: decode, gather, or copy images.
//
// Each function is one epoch: its threads take batches from a common counter until there are none, and each fills one
// buffer of its own again and again. Nothing is handed over, so that no loader can be faster in the same work.
// Every function returns the number of images, or -1 if a thread could not start or an image could not be decoded.

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

enum { MAX_THREADS = 64, ALIGNMENT = 64 };

typedef struct work work;
typedef int (*batch_function)(const work *w, void *state, int64_t first, int64_t count, uint8_t *out);

struct work {
  int64_t images, batch, image_bytes;
  int side;                 // of an image, in pixels; used by decoding
  const uint8_t *pixels;    // the decoded images, one behind the other; used by gather and copy
  const uint8_t **jpegs;    // the encoded images and their sizes; used by decoding
  const int64_t *sizes;
  const int64_t *order;     // which image comes where
  batch_function fill;
  uint8_t *result;          // if not NULL, the batches go there instead of a buffer; for checks
  atomic_llong next;
  atomic_int failed;
};

static int decode_batch(const work *w, void *decoder, int64_t first, int64_t count, uint8_t *out) {
  for (int64_t i = 0; i < count; i++) {
    int64_t image = w->order[first + i];
    if (tjDecompress2(decoder, w->jpegs[image], (unsigned long)w->sizes[image], out + i * w->image_bytes, w->side,
                      w->side, w->side, TJPF_GRAY, 0) != 0)
      return -1;
  }
  return 0;
}

static int gather_batch(const work *w, void *state, int64_t first, int64_t count, uint8_t *out) {
  (void)state;
  for (int64_t i = 0; i < count; i++)
    memcpy(out + i * w->image_bytes, w->pixels + w->order[first + i] * w->image_bytes, (size_t)w->image_bytes);
  return 0;
}

static int copy_batch(const work *w, void *state, int64_t first, int64_t count, uint8_t *out) {
  (void)state;
  memcpy(out, w->pixels + first * w->image_bytes, (size_t)(count * w->image_bytes));
  return 0;
}

static void *thread_main(void *argument) {
  work *w = argument;
  size_t buffer_bytes = (size_t)(w->batch * w->image_bytes);
  buffer_bytes += (ALIGNMENT - buffer_bytes % ALIGNMENT) % ALIGNMENT;
  uint8_t *buffer = aligned_alloc(ALIGNMENT, buffer_bytes);
  tjhandle decoder = w->fill == decode_batch ? tjInitDecompress() : NULL;
  if (buffer == NULL || (w->fill == decode_batch && decoder == NULL)) atomic_store(&w->failed, 1);
  while (!atomic_load(&w->failed)) {
    int64_t first = atomic_fetch_add(&w->next, w->batch);
    if (first >= w->images) break;
    int64_t count = w->images - first < w->batch ? w->images - first : w->batch;
    uint8_t *out = w->result == NULL ? buffer : w->result + first * w->image_bytes;
    if (w->fill(w, decoder, first, count, out) != 0) atomic_store(&w->failed, 1);
  }
  if (decoder != NULL) tjDestroy(decoder);
  free(buffer);
  return NULL;
}

static int64_t run(work *w, int threads) {
  pthread_t started[MAX_THREADS];
  int running = 0;
  if (threads < 1 || threads > MAX_THREADS) return -1;
  for (; running < threads; running++)
    if (pthread_create(&started[running], NULL, thread_main, w) != 0) {
      atomic_store(&w->failed, 1);
      break;
    }
  for (int i = 0; i < running; i++) pthread_join(started[i], NULL);
  return atomic_load(&w->failed) ? -1 : w->images;
}

int64_t limit_decode(const uint8_t **jpegs, const int64_t *sizes, const int64_t *order, int64_t images, int64_t batch,
                     int side, int threads, uint8_t *result) {
  work w = {.images = images, .batch = batch, .image_bytes = (int64_t)side * side, .side = side, .jpegs = jpegs,
            .sizes = sizes, .order = order, .fill = decode_batch, .result = result};
  return run(&w, threads);
}

int64_t limit_gather(const uint8_t *pixels, const int64_t *order, int64_t images, int64_t batch, int64_t image_bytes,
                     int threads, uint8_t *result) {
  work w = {.images = images, .batch = batch, .image_bytes = image_bytes, .pixels = pixels, .order = order,
            .fill = gather_batch, .result = result};
  return run(&w, threads);
}

int64_t limit_copy(const uint8_t *pixels, int64_t images, int64_t batch, int64_t image_bytes, int threads,
                   uint8_t *result) {
  work w = {.images = images, .batch = batch, .image_bytes = image_bytes, .pixels = pixels, .fill = copy_batch,
            .result = result};
  return run(&w, threads);
}
