/* leadlift.c: frames and commands of the leadlift wire format; see leadlift.h. */
#include "leadlift.h"

/*
 * CRC-32/ISO-HDLC, four bits at a time, with a table of 64 bytes. A table for whole bytes would add 0.9 KB,
 * which doubles this file's flash, to save some five cycles a byte: 0.05 % of a 64 MHz core at three leads
 * of 500 Hz. No table would save 80 bytes and make the CRC about three times as slow.
 */
static const uint32_t CRC_OF_NIBBLE[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu,
    0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
    0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
    0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

#define CRC_START 0xFFFFFFFFu /* and the result is inverted */

#if LEADLIFT_MAX_PACKET_BYTES > 3u * LEADLIFT_COBS_BLOCK
#error "frame_bytes knows packets of at most three COBS blocks"
#endif

/* LEADLIFT_FRAME_BYTES of 1 to LEADLIFT_MAX_PACKET_BYTES, without a division: on a Cortex-M0 that is a call. */
static uint32_t frame_bytes(uint32_t packet_bytes)
{
    uint32_t blocks = 1u;
    if (packet_bytes > LEADLIFT_COBS_BLOCK) {
        blocks++;
    }
    if (packet_bytes > 2u * LEADLIFT_COBS_BLOCK) {
        blocks++;
    }
    return packet_bytes + blocks + 1u;
}

static uint32_t crc_update(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    crc = (crc >> 4) ^ CRC_OF_NIBBLE[crc & 15u];
    return (crc >> 4) ^ CRC_OF_NIBBLE[crc & 15u];
}

/* A frame being written. COBS is done on the way: the packet itself is never stored. */
typedef struct {
    uint8_t *code; /* where the code byte of the block at hand goes */
    uint8_t *next; /* where the next byte goes */
    uint32_t crc;
} writer_t;

/* A code byte says how far it is to the next one: its block's bytes and itself. */
static void close_block(writer_t *writer)
{
    *writer->code = (uint8_t)(writer->next - writer->code);
}

static void open_block(writer_t *writer)
{
    writer->code = writer->next++;
}

static void put_byte(writer_t *writer, uint8_t byte)
{
    writer->crc = crc_update(writer->crc, byte);
    /* A full block stands for no zero, so a zero needs a block after it as any other byte does. */
    if ((size_t)(writer->next - writer->code) > LEADLIFT_COBS_BLOCK) {
        close_block(writer);
        open_block(writer);
    }
    if (byte != 0u) {
        *writer->next++ = byte;
    } else {
        close_block(writer);
        open_block(writer);
    }
}

/* Append the low `n_bytes` bytes of `value`, least significant first. */
static void put(writer_t *writer, uint32_t value, unsigned n_bytes)
{
    for (; n_bytes > 0u; n_bytes--) {
        put_byte(writer, (uint8_t)value);
        value >>= 8;
    }
}

static void put_text(writer_t *writer, const char *text, uint8_t n_bytes)
{
    put(writer, n_bytes, 1);
    for (; n_bytes > 0u; n_bytes--) {
        put(writer, (uint8_t)*text++, 1);
    }
}

static writer_t begin_frame(const leadlift_encoder_t *encoder, uint8_t type, uint8_t *frame)
{
    writer_t writer = {frame, frame + 1, CRC_START};
    put(&writer, LEADLIFT_VERSION, 1);
    put(&writer, type, 1);
    put(&writer, encoder->session, 1);
    put(&writer, encoder->sequence, 2);
    return writer;
}

static size_t end_frame(writer_t *writer, leadlift_encoder_t *encoder, const uint8_t *frame)
{
    put(writer, ~writer->crc, LEADLIFT_CRC_BYTES);
    close_block(writer);
    *writer->next++ = LEADLIFT_DELIMITER;
    encoder->sequence++;
    return (size_t)(writer->next - frame);
}

/* Bytes of `text`, at most one more than fit; no text has none. */
static uint8_t text_bytes(const char *text)
{
    uint8_t n = 0;
    while (text != NULL && n <= LEADLIFT_MAX_TEXT_BYTES && text[n] != '\0') {
        n++;
    }
    return n;
}

static uint32_t bits_of_float(float value)
{
    union {
        float value;
        uint32_t bits;
    } both;
    both.value = value;
    return both.bits;
}

/* Whether `n` and `leads` name 1 to `most` leads that exist, none of them twice. */
static bool leads_are_good(const uint8_t *leads, uint8_t n, uint8_t most)
{
    uint32_t seen = 1; /* no lead has code 0 */
    if (n < 1u || n > most) {
        return false;
    }
    for (uint8_t i = 0; i < n; i++) {
        uint8_t code = leads[i];
        if (code > LEADLIFT_LEAD_CODES || ((seen >> code) & 1u) != 0u) {
            return false;
        }
        seen |= (uint32_t)1 << code;
    }
    return true;
}

static bool scale_is_good(float nanovolts_per_lsb)
{
    uint32_t scale = bits_of_float(nanovolts_per_lsb);
    return scale > 0u && scale < 0x7F800000u; /* from there on infinite, not a number or negative */
}

static bool info_is_good(const leadlift_stream_info_t *info)
{
    return leads_are_good(info->leads, info->channels, LEADLIFT_MAX_CHANNELS) &&
           (info->sample_bits == 16u || info->sample_bits == 24u) && info->rate_millihertz > 0u &&
           scale_is_good(info->nanovolts_per_lsb) &&
           text_bytes(info->device) <= LEADLIFT_MAX_TEXT_BYTES &&
           text_bytes(info->firmware) <= LEADLIFT_MAX_TEXT_BYTES;
}

uint8_t leadlift_frame_samples(const leadlift_encoder_t *encoder, uint8_t fewest, uint8_t most)
{
    uint32_t crc = crc_update(CRC_START, (uint8_t)encoder->sequence);
    crc = crc_update(crc, (uint8_t)(encoder->sequence >> 8));
    unsigned lengths = (unsigned)(most - fewest) + 1u;
    unsigned draw = (unsigned)(~crc & 0xFFu);
    return (uint8_t)(fewest + (draw * lengths >> 8)); /* at most 255 * 256: 16 bits hold it */
}

bool leadlift_begin(leadlift_encoder_t *encoder, const leadlift_stream_info_t *info, uint8_t session)
{
    encoder->info = info_is_good(info) ? info : NULL;
    encoder->first_sample = 0;
    encoder->sequence = 0;
    encoder->session = session;
    return encoder->info != NULL;
}

size_t leadlift_encode_stream_info(leadlift_encoder_t *encoder, uint8_t *frame, size_t capacity)
{
    const leadlift_stream_info_t *info = encoder->info;
    if (info == NULL || capacity < LEADLIFT_STREAM_INFO_FRAME_BYTES) {
        return 0;
    }
    writer_t writer = begin_frame(encoder, LEADLIFT_STREAM_INFO, frame);
    put(&writer, info->config_id, 1);
    put(&writer, info->sample_bits, 1);
    put(&writer, info->rate_millihertz, 4);
    put(&writer, bits_of_float(info->nanovolts_per_lsb), 4);
    put(&writer, info->channels, 1);
    for (uint8_t i = 0; i < info->channels; i++) {
        put(&writer, info->leads[i], 1);
    }
    put_text(&writer, info->device, text_bytes(info->device));
    put_text(&writer, info->firmware, text_bytes(info->firmware));
    return end_frame(&writer, encoder, frame);
}

size_t leadlift_encode_samples(leadlift_encoder_t *encoder, const int32_t *counts, uint8_t count,
                               uint32_t tick_us, uint8_t lead_off, uint8_t *frame, size_t capacity)
{
    const leadlift_stream_info_t *info = encoder->info;
    if (info == NULL || count == 0u || (lead_off >> info->channels) != 0) {
        return 0;
    }
    uint32_t packet_bytes = LEADLIFT_SAMPLES_PACKET_BYTES((uint32_t)info->channels, count, info->sample_bits);
    if (packet_bytes > LEADLIFT_MAX_PACKET_BYTES || capacity < frame_bytes(packet_bytes)) {
        return 0;
    }
    uint8_t type = info->sample_bits == 16u ? LEADLIFT_SAMPLES_INT16 : LEADLIFT_SAMPLES_INT24;
    writer_t writer = begin_frame(encoder, type, frame);
    put(&writer, info->config_id, 1);
    put(&writer, encoder->first_sample, 4);
    put(&writer, tick_us, 4);
    put(&writer, count, 1);
    put(&writer, lead_off, 1);
    put(&writer, info->channels, 1);

    const int32_t rail = (int32_t)1 << (info->sample_bits - 1u);
    for (uint32_t n = (uint32_t)count * info->channels; n > 0u; n--) {
        int32_t code = *counts++;
        code = code < -rail ? -rail : code >= rail ? rail - 1 : code;
        put(&writer, (uint32_t)code, info->sample_bits / 8u);
    }
    encoder->first_sample += count;
    return end_frame(&writer, encoder, frame);
}

static bool reconstruction_is_good(const leadlift_reconstruction_t *what)
{
    if (!leads_are_good(what->leads, what->n_leads, LEADLIFT_LEAD_CODES)) {
        return false;
    }
    for (uint8_t i = 0; i < what->n_leads; i++) {
        if (what->provenance[i] < 1u || what->provenance[i] > LEADLIFT_PROVENANCE_CODES) {
            return false;
        }
    }
    return what->rate_millihertz > 0u && scale_is_good(what->nanovolts_per_lsb) &&
           text_bytes(what->model) <= LEADLIFT_MAX_TEXT_BYTES;
}

size_t leadlift_encode_reconstruction(leadlift_encoder_t *encoder, const leadlift_reconstruction_t *what,
                                      uint8_t *frame, size_t capacity)
{
    if (encoder->info == NULL || capacity < LEADLIFT_RECONSTRUCTION_FRAME_BYTES || !reconstruction_is_good(what)) {
        return 0;
    }
    writer_t writer = begin_frame(encoder, LEADLIFT_RECONSTRUCTION, frame);
    put(&writer, encoder->info->config_id, 1);
    put(&writer, what->rate_millihertz, 4);
    put(&writer, bits_of_float(what->nanovolts_per_lsb), 4);
    put(&writer, what->n_leads, 1);
    for (uint8_t i = 0; i < what->n_leads; i++) {
        put(&writer, what->leads[i], 1);
    }
    for (uint8_t i = 0; i < what->n_leads; i++) {
        put(&writer, what->provenance[i], 1);
    }
    put_text(&writer, what->model, text_bytes(what->model));
    return end_frame(&writer, encoder, frame);
}

size_t leadlift_encode_reconstructed(leadlift_encoder_t *encoder, const leadlift_reconstructed_t *samples,
                                     uint8_t *frame, size_t capacity)
{
    const uint8_t n_leads = samples->n_leads;
    if (encoder->info == NULL || samples->count == 0u || n_leads < 1u || n_leads > LEADLIFT_LEAD_CODES) {
        return 0;
    }
    uint32_t packet_bytes = LEADLIFT_RECONSTRUCTED_PACKET_BYTES((uint32_t)n_leads, samples->count);
    if (packet_bytes > LEADLIFT_MAX_PACKET_BYTES || capacity < frame_bytes(packet_bytes)) {
        return 0;
    }
    writer_t writer = begin_frame(encoder, LEADLIFT_RECONSTRUCTED, frame);
    put(&writer, encoder->info->config_id, 1);
    put(&writer, samples->first_sample, 4);
    put(&writer, samples->tick_us, 4);
    put(&writer, samples->count, 1);
    put(&writer, n_leads, 1);
    for (uint8_t i = 0; i < n_leads; i++) {
        put(&writer, samples->quality[i], 1);
    }
    const uint32_t n = (uint32_t)n_leads * samples->count;
    for (uint32_t i = 0; i < n; i++) {
        put(&writer, (uint16_t)samples->values[i], 2);
    }
    for (uint32_t i = 0; i < n; i++) {
        put(&writer, samples->sigmas[i], 1);
    }
    return end_frame(&writer, encoder, frame);
}

size_t leadlift_encode_battery(leadlift_encoder_t *encoder, uint8_t percent, uint8_t *frame,
                               size_t capacity)
{
    if (encoder->info == NULL || percent > 100u || capacity < LEADLIFT_BATTERY_FRAME_BYTES) {
        return 0;
    }
    writer_t writer = begin_frame(encoder, LEADLIFT_BATTERY, frame);
    put(&writer, percent, 1);
    return end_frame(&writer, encoder, frame);
}

void leadlift_skip_samples(leadlift_encoder_t *encoder, uint32_t n)
{
    encoder->first_sample += n;
}

static void keep(leadlift_receiver_t *receiver, uint8_t byte)
{
    if (receiver->length < LEADLIFT_COMMAND_PACKET_BYTES) {
        receiver->packet[receiver->length++] = byte;
    } else {
        receiver->length = LEADLIFT_COMMAND_PACKET_BYTES + 1u;
    }
}

static uint32_t get_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Whether the packet of `length` bytes is a command with a good CRC; if so it is in `*command`. */
static bool parse_command(const uint8_t *packet, uint8_t length, leadlift_command_t *command)
{
    uint8_t type = packet[1];
    uint8_t expected = LEADLIFT_HEADER_BYTES + LEADLIFT_CRC_BYTES;
    if (type == LEADLIFT_SET_RATE) {
        expected = LEADLIFT_COMMAND_PACKET_BYTES;
    } else if (type != LEADLIFT_START && type != LEADLIFT_STOP && type != LEADLIFT_IDENTIFY) {
        return false;
    }
    if (length != expected || packet[0] != LEADLIFT_VERSION) {
        return false;
    }
    uint32_t crc = CRC_START;
    for (uint8_t i = 0; i < length - LEADLIFT_CRC_BYTES; i++) {
        crc = crc_update(crc, packet[i]);
    }
    if (~crc != get_u32(packet + length - LEADLIFT_CRC_BYTES)) {
        return false;
    }
    uint32_t rate_millihertz = 0;
    if (type == LEADLIFT_SET_RATE) {
        rate_millihertz = get_u32(packet + LEADLIFT_HEADER_BYTES);
        if (rate_millihertz == 0u) {
            return false;
        }
    }
    command->type = type;
    command->rate_millihertz = rate_millihertz;
    return true;
}

bool leadlift_receive(leadlift_receiver_t *receiver, uint8_t byte, leadlift_command_t *command)
{
    if (byte == LEADLIFT_DELIMITER) {
        /* The length is checked against the type's, so what is left of an earlier frame is never believed. */
        bool whole = receiver->block == 0u &&
                     parse_command(receiver->packet, receiver->length, command);
        receiver->length = 0;
        receiver->block = 0;
        receiver->in_frame = false;
        return whole;
    }
    if (receiver->block > 0u) {
        keep(receiver, byte);
        receiver->block--;
        return false;
    }
    if (receiver->in_frame) {
        keep(receiver, 0); /* between two blocks stands a zero; after one of 254 bytes all is too long */
    }
    receiver->in_frame = true;
    receiver->block = (uint8_t)(byte - 1u);
    return false;
}
