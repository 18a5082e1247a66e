// Detections with OpenCV alone, from a folder that `zoo convert NAME --to opencv --out FOLDER` wrote.
//
//     c++ -O2 -std=c++17 detect.cpp -o detect $(pkg-config --cflags --libs opencv4)
//     ./detect FOLDER PICTURE
//
// Prints a line for each detection: class, score, and left, top, width, height in pixels. For models that give boxes
// and scores before suppression (output.kind is "candidates" in detector.json).

#include <algorithm>
#include <cstdio>
#include <map>
#include <opencv2/dnn.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

struct Found {
    int label;
    float score;
    cv::Rect2d box;
};

// Where the picture lies in the network's input: shift and scale, both in pixels of that input.
struct Fit {
    cv::Mat square;
    double left, top, scale_x, scale_y;
};

static Fit fit(const cv::Mat& picture, const cv::FileNode& input) {
    const int width = input["width"], height = input["height"];
    double x = double(width) / picture.cols, y = double(height) / picture.rows;
    const bool letterbox = std::string(input["resize"]) == "letterbox";
    if (letterbox) x = y = std::min(x, y);
    const bool corner = std::string(input["place"]) == "corner";
    const auto whole = [corner](double size) { return corner ? cvRound(size) : int(size); };  // TensorFlow's; Darknet's
    const int inner_width = letterbox ? whole(picture.cols * x) : width;
    const int inner_height = letterbox ? whole(picture.rows * y) : height;
    const int left = corner ? 0 : (width - inner_width) / 2, top = corner ? 0 : (height - inner_height) / 2;
    const cv::Scalar pad(input["pad"][2], input["pad"][1], input["pad"][0]);
    cv::Mat inner, square;
    cv::resize(picture, inner, {inner_width, inner_height});
    cv::copyMakeBorder(inner, square, top, height - inner_height - top, left, width - inner_width - left,
                       cv::BORDER_CONSTANT, pad);
    return {square, double(left), double(top), double(inner_width) / picture.cols, double(inner_height) / picture.rows};
}

// Left, top, width, height in pixels of the picture.
static cv::Rect2d placed(const float* box, bool centred, const Fit& fit) {
    const double left = centred ? box[0] - box[2] / 2 : box[1], top = centred ? box[1] - box[3] / 2 : box[0];
    const double width = centred ? box[2] : box[3] - box[1], height = centred ? box[3] : box[2] - box[0];
    const double x = fit.square.cols / fit.scale_x, y = fit.square.rows / fit.scale_y;
    return {left * x - fit.left / fit.scale_x, top * y - fit.top / fit.scale_y, width * x, height * y};
}

static std::vector<Found> detect(const std::string& folder, const cv::FileStorage& about, const cv::Mat& picture) {
    const cv::FileNode input = about["input"], output = about["output"], limits = about["thresholds"];
    const std::string file = folder + "/" + std::string(about["model"]);
#if CV_VERSION_MAJOR >= 5  // which has two engines, and each is the faster one for some networks
    const bool classic = std::string(about["engine"]) == "classic";
    cv::dnn::Net net = cv::dnn::readNetFromONNX(file, classic ? cv::dnn::ENGINE_CLASSIC : cv::dnn::ENGINE_NEW);
#else
    cv::dnn::Net net = cv::dnn::readNetFromONNX(file);
#endif
    const Fit fitted = fit(picture, input);
    const cv::Scalar mean(input["mean"][0], input["mean"][1], input["mean"][2]);
    net.setInput(cv::dnn::blobFromImage(fitted.square, input["scale"], {}, mean, int(input["swapRB"]) != 0));
    const std::vector<std::string> names = net.getUnconnectedOutLayersNames();
    std::vector<cv::Mat> arrays;
    net.forward(arrays, names);
    std::map<std::string, cv::Mat> results;  // OpenCV 4 puts "onnx_node!" before the names
    for (size_t i = 0; i < names.size(); i++) results[names[i].substr(names[i].rfind('!') + 1)] = arrays[i];
    const cv::Mat boxes = results.at(output["boxes"]), scores = results.at(output["scores"]);
    const bool centred = std::string(output["box_format"]) == "cxcywh";
    const float least = limits["score"], overlap = limits["nms"];
    std::vector<Found> found;
    for (int label = output["background"], first = label; label < scores.size[2]; label++) {
        std::vector<cv::Rect2d> places;
        std::vector<float> best;
        for (int row = 0; row < scores.size[1]; row++) {
            const float score = scores.ptr<float>(0, row)[label];
            if (score <= least) continue;
            places.push_back(placed(boxes.ptr<float>(0, row), centred, fitted));
            best.push_back(score);
        }
        std::vector<int> kept;
        cv::dnn::NMSBoxes(places, best, least, overlap, kept);
        for (int i : kept) found.push_back({label - first, best[i], places[i]});
    }
    std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.score > b.score; });
    return found;
}

int main(int count, char** arguments) {
    if (count != 3) return std::fprintf(stderr, "detect FOLDER PICTURE\n"), 2;
    const std::string folder = arguments[1];
    const cv::FileStorage about(folder + "/detector.json", cv::FileStorage::READ);
    const cv::Mat picture = cv::imread(arguments[2]);
    if (!about.isOpened() || picture.empty()) return std::fprintf(stderr, "cannot read the folder or the picture\n"), 2;
    const cv::FileNode labels = about["labels"];
    for (const Found& one : detect(folder, about, picture)) {
        const std::string name =
            one.label < int(labels.size()) ? std::string(labels[one.label]) : std::to_string(one.label);
        std::printf("%s %.3f %.0f %.0f %.0f %.0f\n", name.c_str(), one.score, one.box.x, one.box.y, one.box.width,
                    one.box.height);
    }
}
