# needs: cmake ninja g++
# seconds: 180
mkdir src; cat > src/CMakeLists.txt <<'X'
cmake_minimum_required(VERSION 3.10)
project(p C CXX)
find_package(Threads REQUIRED)
set(S)
foreach(i RANGE 1 12)
 file(WRITE ${CMAKE_BINARY_DIR}/f${i}.cpp "#include <vector>\n#include <string>\nint f${i}() { std::vector<std::string> v(${i}, \"x\"); return v.size(); }\n")
 list(APPEND S ${CMAKE_BINARY_DIR}/f${i}.cpp)
endforeach()
add_library(l STATIC ${S})
add_executable(m m.cpp)
target_link_libraries(m l Threads::Threads)
enable_testing()
add_test(NAME t COMMAND m)
X
cat > src/m.cpp <<'X'
#include <thread>
#include <iostream>
#include <atomic>
#include <filesystem>
int f1(); int f12();
int main() { std::atomic<int> n{0}; std::thread t[4]; for (auto &x : t) x = std::thread([&] { for (int i = 0; i < 1000; i++) n++; }); for (auto &x : t) x.join(); std::cout << n << " " << f1() + f12() << " " << std::filesystem::exists("/proc/self") << "\n"; try { throw 5; } catch (int x) { std::cout << "caught " << x << "\n"; } }
X
cmake -G Ninja -S src -B b > cm.log 2>&1; echo $?; grep -c 'Detecting CXX compile features - done' cm.log; ninja -C b | tail -1 | grep -o 'Linking CXX executable m'; b/m; (cd b; ctest 2>&1 | grep -o '100% tests passed'); touch src/m.cpp; ninja -C b -n | grep -c Building; ninja -C b > /dev/null; ninja -C b | tail -1
cmake -S src -B b2 > /dev/null 2>&1; make -C b2 -j2 > mk.log 2>&1; echo $?; b2/m
