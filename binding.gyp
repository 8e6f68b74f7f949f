{
  # For people whose habit is node-gyp: hands over to CMake (the real build is CMakeLists.txt, through cmake-js).
  "targets": [
    {
      "target_name": "tracin",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["build/Release/tracin.node"],
          "action": ["npx", "cmake-js", "compile"],
          "message": "building with cmake-js",
        }
      ],
    }
  ]
}
