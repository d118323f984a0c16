/* ads1293.c: see ads1293.h. NOT TRIED ON SILICON. */
#include "ads1293.h"

#define READ 0x80u /* in the address byte */
#define CONFIG 0x00u
#define ERROR_LOD 0x18u
#define DATA_CH1_ECG 0x37u /* three bytes a channel, most significant first, to 0x3F */

/* Electrodes: IN1 RA, IN2 LA, IN3 LL, IN4 V1, IN5 V5. IN6 carries Wilson's central terminal, made inside. */
#define RA 0x01u
#define LA 0x02u
#define LL 0x04u
#define V1 0x08u
#define V5 0x10u

static const uint8_t CONFIGURATION[][2] = {
    {0x01, 3u << 3 | 1u}, /* FLEX_CH1_CN: IN3 - IN1, II */
    {0x02, 4u << 3 | 6u}, /* FLEX_CH2_CN: IN4 - IN6, V1 */
    {0x03, 5u << 3 | 6u}, /* FLEX_CH3_CN: IN5 - IN6, V5 */
    {0x06, 0x00},         /* LOD_CN: lead-off by direct current */
    {0x07, 0x1F},         /* LOD_EN: on IN1 to IN5 */
    {0x08, 0x01},         /* LOD_CURRENT: 8 nA */
    {0x0A, 0x07},         /* CMDET_EN: common mode from RA, LA and LL */
    {0x0C, 0x00},         /* RLD_CN: the drive is taken from the RLDOUT pin, routed to no input */
    {0x0D, 0x01},         /* WILSON_EN1: IN1 */
    {0x0E, 0x02},         /* WILSON_EN2: IN2 */
    {0x0F, 0x03},         /* WILSON_EN3: IN3 */
    {0x10, 0x01},         /* WILSON_CN: their mean goes to IN6, inside */
    {0x12, 0x04},         /* OSC_CN: crystal, clock to the digital part */
    {0x14, 0x00},         /* AFE_SHDN_CN: all three channels on */
    {0x21, 0x01},         /* R2_RATE: 4 */
    {0x22, 0x10},         /* R3_RATE_CH1: 16 */
    {0x23, 0x10},         /* R3_RATE_CH2: 16 */
    {0x24, 0x10},         /* R3_RATE_CH3: 16 */
    {0x25, 0x00},         /* R1_RATE: 4 */
    {0x27, 0x08},         /* DRDYB_SRC: channel 1's ECG */
};

static uint8_t read_register(ads1293_transfer_t transfer, void *context, uint8_t address)
{
    uint8_t out[2] = {(uint8_t)(READ | address), 0};
    uint8_t in[2];
    transfer(context, out, in, sizeof out);
    return in[1];
}

static void write_register(ads1293_transfer_t transfer, void *context, uint8_t address, uint8_t value)
{
    uint8_t out[2] = {address, value};
    uint8_t in[2];
    transfer(context, out, in, sizeof out);
}

bool ads1293_start(ads1293_transfer_t transfer, void *context)
{
    const size_t n = sizeof CONFIGURATION / sizeof CONFIGURATION[0];
    write_register(transfer, context, CONFIG, 0x00);
    for (size_t i = 0; i < n; i++) {
        write_register(transfer, context, CONFIGURATION[i][0], CONFIGURATION[i][1]);
    }
    for (size_t i = 0; i < n; i++) {
        if (read_register(transfer, context, CONFIGURATION[i][0]) != CONFIGURATION[i][1]) {
            return false;
        }
    }
    write_register(transfer, context, CONFIG, 0x01); /* start converting */
    return true;
}

int32_t ads1293_counts(uint32_t code)
{
    /* Doubled, so that the converter's range is that of 24 bits, as `sample_bits` promises. */
    return ((int32_t)code - ((int32_t)1 << 22)) * 2;
}

uint8_t ads1293_lead_off(uint8_t error_lod)
{
    uint8_t lead_off = 0;
    if ((error_lod & (RA | LL)) != 0u) {
        lead_off |= 1u << 0;
    }
    if ((error_lod & (RA | LA | LL | V1)) != 0u) { /* a chest lead needs Wilson's terminal, and that all three */
        lead_off |= 1u << 1;
    }
    if ((error_lod & (RA | LA | LL | V5)) != 0u) {
        lead_off |= 1u << 2;
    }
    return lead_off;
}

void ads1293_read(ads1293_transfer_t transfer, void *context, int32_t counts[ADS1293_CHANNELS],
                  uint8_t *lead_off)
{
    static const uint8_t out[1 + 3 * ADS1293_CHANNELS] = {READ | DATA_CH1_ECG}; /* on the stack it costs a memset */
    uint8_t in[sizeof out];
    transfer(context, out, in, sizeof out); /* the address counts up by itself */
    for (size_t i = 0; i < ADS1293_CHANNELS; i++) {
        const uint8_t *code = in + 1u + 3u * i;
        counts[i] = ads1293_counts((uint32_t)code[0] << 16 | (uint32_t)code[1] << 8 | code[2]);
    }
    *lead_off = ads1293_lead_off(read_register(transfer, context, ERROR_LOD));
}
