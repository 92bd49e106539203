// Upscale many pictures, two at a time: upscale_all FOLDER IN.ppm... writes FOLDER/1.ppm, FOLDER/2.ppm and so on.
//
// A session serves one call at a time, and sessions are independent: each thread of the program has its own.
#include <atomic>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pnm.h"
#include "tvmsr.h"

namespace {

// A session that closes itself. Throws where the ABI returns a status.
class Upscaler {
public:
    explicit Upscaler(int threads) {
        tvmsr_options options = {};
        options.struct_size = sizeof options;
        options.threads = threads;
        tvmsr_session *opened = nullptr;
        if (tvmsr_open(&options, &opened) != TVMSR_OK) {
            char text[256];
            tvmsr_open_error(text, sizeof text);
            throw std::runtime_error(text);
        }
        session_.reset(opened);
    }

    static int scale() {
        tvmsr_info info = {};
        info.struct_size = sizeof info;
        tvmsr_get_info(&info);
        return info.scale;
    }

    void upscale(const tvmsr_picture &in, const tvmsr_picture &out) {
        if (tvmsr_upscale(session_.get(), &in, &out, nullptr, nullptr) != TVMSR_OK) {
            throw std::runtime_error(tvmsr_error(session_.get()));
        }
    }

private:
    struct Close {
        void operator()(tvmsr_session *session) const { tvmsr_close(session); }
    };
    std::unique_ptr<tvmsr_session, Close> session_;
};

// A picture and its memory.
struct Picture : tvmsr_picture {
    Picture() : tvmsr_picture() {}
    ~Picture() { std::free(planes[0]); }
    Picture(const Picture &) = delete;
    Picture &operator=(const Picture &) = delete;
};

void upscale_file(Upscaler &upscaler, const std::string &from, const std::string &to) {
    Picture in, out;
    if (!pnm_read(from.c_str(), &in)) throw std::runtime_error("not a PPM or PGM picture with 8 bits a sample");
    if (!pnm_scaled(&in, Upscaler::scale(), &out)) throw std::runtime_error("out of memory");
    upscaler.upscale(in, out);
    if (!pnm_write(to.c_str(), &out)) throw std::runtime_error(to + " cannot be written");
}

}  // namespace

int main(int argc, char **argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s FOLDER IN.ppm...\n", argv[0]);
        return 2;
    }
    const std::string folder = argv[1];
    std::atomic<int> next{2}, failed{0};
    const auto work = [&] {
        try {
            Upscaler upscaler(1);  // one thread each: the pictures are what is done at the same time
            for (int i = next++; i < argc; i = next++) {
                try {
                    upscale_file(upscaler, argv[i], folder + "/" + std::to_string(i - 1) + ".ppm");
                } catch (const std::exception &error) {
                    std::fprintf(stderr, "%s: %s\n", argv[i], error.what());
                    failed = 1;
                }
            }
        } catch (const std::exception &error) {
            std::fprintf(stderr, "cannot open the network: %s\n", error.what());
            failed = 1;
        }
    };
    std::thread other(work);
    work();
    other.join();
    return failed;
}
